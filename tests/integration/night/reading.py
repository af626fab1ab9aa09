"""What an operator reads at night, on the node that is in trouble and through another one.

The same words have to stand in the status, in --verbose with how long it lasts, in --check, in the
log and in the notification; once, and nothing of it once the trouble is over.
"""

import json

from ..scenarios import PAUSE, run

#: Checks are half a second apart; a busy machine takes longer for each look at all these programs.
LIMIT = 60
OK, WARNING, CRITICAL = 0, 1, 2


def utility(node, *words):
    """What ahm_cluster_status prints there with these words, and its exit code."""
    done = run(node, 'ahm_cluster_status', *words)
    return done.output, done.code


def said(scenario, node):
    """What its log says in this story, but for the details of each check."""
    return ''.join(line for line in scenario.log(node).splitlines(True)
                   if not line.startswith('DEBUG '))


def troubles(node, failed, kind, text):
    """The newest event of this kind that ahm_events tells of the failed node, if it says this."""
    told = [json.loads(line) for line in run(
        node, 'ahm_events', '--json', '--node', failed.name).output.splitlines()]
    found = [event for event in told if event['kind'] == kind and text in event['text']]
    assert all(event['node'] == failed.name for event in told)
    return found[-1:]


def is_told(scenario, failed, other, text, code):
    """Wait until all say so: `text` is the node's name, a colon, and how the trouble begins."""
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
    assert troubles(other, failed, 'trouble', text), 'ahm_events does not tell that it began'


def is_gone(scenario, failed, other, text):
    """Wait until nobody says it any more."""
    line = '%s: %s' % (failed.name, text)
    scenario.cluster.wait_until(
        lambda: not any(line in utility(node, *words)[0] for node in (failed, other)
                        for words in ((), ('--check',))), LIMIT, '%r to be gone' % line, PAUSE)


def is_over(scenario, failed, other, text, over):
    """Wait until nobody says it any more; that it is over was said once."""
    is_gone(scenario, failed, other, text)
    scenario.cluster.wait_until(lambda: over in said(scenario, failed), LIMIT, over)
    assert len([one for one in scenario.notified()
                if one.startswith(failed.name) and over in one]) == 1
    scenario.cluster.wait_until(lambda: troubles(other, failed, 'trouble over', over), LIMIT,
                                'ahm_events to tell that it is over', PAUSE)
