"""What an operator reads at night, on the node that is in trouble and through another one.

The same words have to stand in the status, in --verbose with how long it lasts, in --check, in the
log, in the notification and in the history of events; once, and nothing of it once the trouble is
over.  Beside the daemon ahm_check_config names what is wrong, as far as a file or a setting is.
What the trouble of each night is says `table`.
"""

import json
import os

from ..scenarios import PAUSE, UTILITY_LIMIT, run

#: Checks are half a second apart; a busy machine takes longer for each look at all these programs.
LIMIT = 60
OK, WARNING, CRITICAL = 0, 1, 2
#: Kinds of events.
BEGIN, END = 'trouble', 'trouble over'
#: Exit codes of ahm_events: all nodes told, some did not.
TOLD = (0, 4)


def utility(node, *words):
    """What ahm_cluster_status prints there with these words, and its exit code."""
    done = run(node, 'ahm_cluster_status', *words)
    return done.output, done.code


def said(scenario, node):
    """What its log says in this story, but for the details of each check."""
    return ''.join(line for line in scenario.log(node).splitlines(True)
                   if not line.startswith('DEBUG '))


def is_told(scenario, failed, other, text, code, at=None):
    """Wait until all say so: `text` is how the trouble begins.

    `at`: the node on which ahm_check_config names it, where that is not the one that tells it.
    """
    line = '%s: %s' % (failed.name, text)

    def told():
        return all(line in utility(node)[0]
                   and '%s has had this trouble for ' % failed.name in utility(node, '--verbose')[0]
                   and line in utility(node, '--check')[0] for node in (failed, other))
    scenario.cluster.wait_until(told, LIMIT, '%r in every status' % line, PAUSE)
    for node in (failed, other):
        assert utility(node, '--check')[1] == code
    told = [one for one in scenario.notified() if one.startswith(failed.name) and text in one]
    assert len(told) == 1, told
    assert said(scenario, failed).count(text) == 1
    assert kinds_of(other, failed, text) == [scenario.night.kind]
    begins(scenario, failed, other, text)
    is_checked(scenario, at or failed)


def is_gone(scenario, failed, other, text):
    """Wait until nobody says it any more; the history has its begin and its end."""
    line = '%s: %s' % (failed.name, text)
    scenario.cluster.wait_until(
        lambda: not any(line in utility(node, *words)[0] for node in (failed, other)
                        for words in ((), ('--check',))), LIMIT, '%r to be gone' % line, PAUSE)
    ends(scenario, failed, other, text)


def is_over(scenario, failed, other, text, over):
    """Wait until nobody says it any more; that it is over was said once."""
    is_gone(scenario, failed, other, text)
    scenario.cluster.wait_until(lambda: over in said(scenario, failed), LIMIT, over)
    assert len([one for one in scenario.notified()
                if one.startswith(failed.name) and over in one]) == 1
    # Who finds a trouble of the VIP says itself that it is over; else its end does.
    is_kept(scenario, other, failed, over)


def kinds_of(node, failed, text):
    """The kinds of the failed node's troubles that say this, in the status that is read there."""
    row, = [row for row in json.loads(utility(node, '--json')[0])['nodes']
            if row['name'] == failed.name]
    return [trouble['kind'] for trouble in row['troubles'] if text in trouble['text']]


# -- ahm_events -------------------------------------------------------------------------------


def events(asker, *words):
    """All that ahm_events tells there with these words, in its order."""
    done = run(asker, 'ahm_events', '--json', *words)
    assert done.code in TOLD, done.output
    return json.loads(done.output)['events']


def place(event):
    """Where an event stands in the history."""
    return event['term'], event['seq']


def in_this_story(scenario, asker, node, *words):
    """What a node has told since the story began, as this asker is told."""
    return [event for event in events(asker, *words)
            if event['node'] == node.name and place(event) > scenario.began]


def of_trouble(scenario, failed, other):
    """The begins and ends of this night's trouble, on the node itself; None while through the other
    one, merged with what all nodes tell, they are not the same."""
    alone, merged = ([event for event in in_this_story(scenario, asker, failed, *words)
                      if event['cause'] == scenario.night.kind and event['kind'] in (BEGIN, END)]
                     for asker, words in ((failed, ('--node', failed.name)), (other, ())))
    return alone if alone == merged else None


def begins(scenario, failed, other, text):
    """Wait until the history has the begin of the trouble, and not its end."""
    def told():
        found = of_trouble(scenario, failed, other)
        return found and found[-1]['kind'] == BEGIN and text in found[-1]['text']
    scenario.cluster.wait_until(told, LIMIT, 'ahm_events to tell the begin: %s' % text, PAUSE)
    assert '%s: ' % BEGIN in run(other, 'ahm_events', '--node', failed.name).output


def ends(scenario, failed, other, text):
    """Wait until the history has an end after each begin of the trouble, which lasted."""
    def told():
        found = of_trouble(scenario, failed, other)
        return found if found and found[-1]['kind'] == END else None
    found = scenario.cluster.wait_until(told, LIMIT, 'ahm_events to tell the end of: %s' % text,
                                        PAUSE)
    assert [event['kind'] for event in found] == [BEGIN, END] * (len(found) // 2), found
    assert any(text in event['text'] for event in found if event['kind'] == BEGIN), found
    for begin, end in zip(found[::2], found[1::2]):
        step, = end['steps']
        assert place(begin) < place(end) and begin['at'] <= end['at']
        assert step['name'] == 'lasted' and step['took'] >= 0


def is_kept(scenario, asker, node, text):
    """Wait until ahm_events, merged over all nodes, tells this asker that the node has said so."""
    scenario.cluster.wait_until(
        lambda: any(text in event['text'] for event in in_this_story(scenario, asker, node)), LIMIT,
        'ahm_events to tell that %s said: %s' % (node.name, text), PAUSE)


# -- ahm_check_config -------------------------------------------------------------------------


def is_checked(scenario, node):
    """Wait until ahm_check_config there, beside the daemon, has a finding with each code of this
    night, and says what to do; where it sees nothing, the table says why."""
    night = scenario.night
    assert bool(night.codes) != bool(night.unseen)
    scenario.cluster.wait_until(
        lambda: set(night.codes) <= {each['code'] for each in findings(node, *night.words)}, LIMIT,
        'ahm_check_config on %s to tell %s' % (node.name, ', '.join(night.codes)), PAUSE)


def findings(node, *words):
    """What ahm_check_config finds on this node's host that is not well."""
    script = os.path.join(node.host.workspace.source, 'bin', 'ahm_check_config')
    done = node.host.run(node.host.python(script, '-f', node.config_file, '--json', *words),
                         check=False, limit=UTILITY_LIMIT)
    found = [each for each in json.loads(done.output) if each['level'] != 'OK']
    assert done.code == any(each['level'] == 'ERROR' for each in found), done.output
    assert all(each['found'] and each['why'] for each in found), found
    assert all(each['fix'] for each in found if each['level'] in ('WARNING', 'ERROR')), found
    return found
