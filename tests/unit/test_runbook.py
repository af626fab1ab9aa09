"""docs/runbook.md has a section or a row for all that AHM tells people, and nothing besides."""

import ast
import re

import pytest

from ahmlib.config.rules import ADVICE
from ahmlib.core.policy.trouble_kinds import KINDS
from ahmlib.core.states import DatabaseState, NodeState
from ahmlib.utilities import status_check

from .documents import (
    below,
    calls,
    codes,
    document,
    function,
    headings,
    modules,
    parsed,
    pieces,
    rows,
    strings,
    texts,
)

SEVERITIES = ('DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL')
#: Module -> the functions in it whose texts are told as troubles, reasons or warnings.
TELLERS = {
    'core/policy/trouble_kinds.py': None,
    'core/policy/ways_out.py': None,
    'core/policy/election.py': ('why_not_eligible', 'why_too_far_behind', '_why_sync_forbids'),
    'core/policy/agreement.py': ('why_unlike_leader', 'why_names_clash'),
    'core/policy/candidate.py': ('reasons', 'why_stale', '_why_not'),
    'core/policy/claims.py': ('_mapped',),
    'core/policy/database.py': ('why_commits_wait',),
    'core/policy/forced.py': ('warning', '_why_somebody_leads', '_why_not_gone'),
    'core/policy/foreign.py': ('told',),
    'core/policy/vip.py': ('problem', '_described'),
    'core/policy/pause.py': ('waits_for', 'why_not_end'),
    'core/policy/promotion.py': None,
    'core/policy/operator.py': ('why_busy', 'why_at_work', '_why_not_attach', '_why_no_restart',
                                'restart_warnings', 'maintain', '_why_no_leader', '_why_moving'),
    'core/policy/ending.py': ('ask',),
    'core/policy/force.py': ('lost', 'why_no_database', 'why_not_all_vote', 'why_two_primaries',
                             'why_not_stand', '_why_not_return'),
    'core/procedures/attach.py': ('attach',),
    'core/procedures/restart_asked.py': None,
    'core/procedures/take_over.py': None,
    'core/procedures/switch_over.py': None,
    'database/attach.py': None,
    'database/attach_job.py': None,
    'database/attach_stream.py': None,
    'database/base_backup.py': ('take', 'command', 'program', '_attend'),
    'database/rebuild.py': ('rebuild', '_take_turn', '_take_its_place'),
    'database/rebuild_place.py': ('refuse_the_impossible', '_refuse_linked_parts',
                                  'refuse_without_space', '_lock', 'finish'),
    'ipc/client.py': ('ask', '_exchange', '_connect_unix', '_connect_tcp'),
    'utilities/named_node.py': ('ask_named', 'ask_leader', '_options_of'),
    'utilities/promote_node.py': None,
    'utilities/restart_database.py': ('_request', '_all', '_one', '_why_unwell', '_same_leader',
                                      '_switch_over', '_until'),
    'utilities/tasks.py': None,
    'core/status.py': ('_texts', '_held_back', '_warnings'),
    'database/rehearsal.py': ('_no_checkpoint', '_no_room', '_no_start', '_unarchived'),
    'database/replay.py': ('judge', '_target_text', '_lower_settings'),
    'network/rehearsal.py': None,
    'runtime/changed_nodes.py': ('why_not_started', 'why_not_changed', 'why_not_restart'),
    'runtime/own_files.py': ('_look_after', '_made'),
    'utilities/status_text.py': ('_remarks',),
}
#: Whatever is raised as one of these ends a command or keeps a daemon from its start.
REFUSALS = ('StateFileError', 'StateFileCorrupt', 'PidFileError', 'Refused', 'StartError')
#: Raised where another module words it for people, and not told by themselves.
INNER = ('it has gone again', 'another process has made it')
#: Words that stand for something in a text, or are put together elsewhere.
NO_TEXTS = ('not set', 'it failed', 'reason', 'strerror', 'use `ahm restart`', 'Warning: %s',
            '"ahm_promote_node%s" on %s (%s)')
#: What tells of a step, or that all went well: nobody has to look it up.
STEPS = (
    '%s prepares', '%s stops its database', 'asks the cluster for it', 'raises the VIP',
    'VIP dropped elsewhere', 'everybody looks again', 'positions compared', 'seen to be up',
    'the target has all', 'the target keeps up', 'takes over', 'waits for its election',
    'it does not stream any more',
    'copies the primary: begins', 'puts the copy in place',
    'the data directory before is kept in %s: remove it once nothing in it is needed',
    'makes the database a standby of %s', 'the database is a standby of %s, and streams',
    'looks whether a parameter waits for a restart', 'nothing: no parameter waits for a restart',
    'orders a checkpoint, so that the stop takes no time', 'stops the database and starts it again',
    'its database is being restarted, as an operator asked', 'accepts writes: no failover',
    'the database was restarted in %.1f s, and %s', 'streams again', 'promotes %s',
    'the leader changed', 'it does not accept writes', 'waits for a check of the database',
    ' in what it has replayed', 'handed over to %s', '%s; starting the database again',
    'hands over to %s, as an operator asked there', 'it has asked for this',
    'undone: leads over the primary as before', 'Command Success',
    'pre_promotion_command succeeded', 'the database is primary now, on timeline %d',
    'takes over: %s; waits for the end of that, for %.0f s at most', 'the daemon gave no reason',
    'the data directory may be damaged now, ', 'the node can be promoted %snow',
    'Promote node task successfully finished', 'Promote node task successfully scheduled',
    'Promotion by force.  What you vouch for, or give up:',
    'Are all of these nodes gone for good, and do you want that?  Type "%s":')
#: Put together of parts in the source, so not to be found there in one piece.
ASSEMBLED = ('is LOST', 'is DEAD', 'cannot bind the beacon port, UDP')
#: Findings of ahm_check_config that the status shows as well, and are not of ADVICE.
OTHER_CODES = {'no-effect', 'program', 'no-database'}


@pytest.fixture(scope='module')
def runbook():
    """Its text."""
    return document('docs', 'runbook.md')


def said(text):
    """All that the runbook says to be printed, as one text."""
    return '\n'.join(codes(text))


def missing_in(text, told):
    """Those of these texts whose beginning the runbook does not quote."""
    have = said(text)
    return sorted({one for one in told if one not in NO_TEXTS + STEPS and pieces(one)
                   and pieces(one)[0] not in have})


# -- states and codes -------------------------------------------------------------------------


@pytest.mark.parametrize('heading, known', [
    ('Node states', NodeState), ('Database states', DatabaseState)])
def test_every_state_has_a_row_and_no_other_one(runbook, heading, known):
    names = [codes(row[0]) for row in rows(below(runbook, heading))]
    assert names == [[state.name] for state in known]


def test_every_code_of_check_has_a_row_with_its_word(runbook):
    found = [(row[0], codes(row[1])) for row in rows(below(runbook, 'Codes of --check'))]
    assert found == [(str(code), [word]) for code, word in enumerate(status_check.WORDS)]


def node(name, **other):
    """A node of a status in which all is well, but for `other`."""
    return dict({'name': name, 'state': 'STANDBY', 'database': 'STANDBY', 'alive': True,
                 'reason': '', 'problem': '', 'troubles': [], 'witness': False, 'lag_bytes': 0,
                 'out': False}, **other)


def a_status(*others, **other):
    """A status in which all is well, but for the other nodes and `other`."""
    leader = node('ONE', state='LEADER', database='PRIMARY')
    return dict({'leader': 'ONE', 'has_majority': True, 'asked': 'ONE', 'virtual_ip': '192.0.2.9',
                 'leader_holds_vip': True, 'successor': 'TWO', 'warnings': [],
                 'nodes': [leader] + list(others or [node('TWO')])}, **other)


def trouble(critical):
    """A node with one."""
    return node('TWO', troubles=[{'critical': critical, 'text': 'it rains'}])


#: What the runbook's row says -> a status of which a rule says that.
CASES = {
    'no leader': a_status(leader=None),
    '… is not in contact with a majority of the nodes': a_status(has_majority=False),
    'the database of the leader … is …': dict(a_status(), nodes=[
        node('ONE', state='LEADER', database='FAILED'), node('TWO')]),
    'the leader … does not hold the virtual IP …': a_status(leader_holds_vip=False),
    '… is a second primary': a_status(node('TWO', database='PRIMARY')),
    'whether the leader holds the virtual IP … is not known': a_status(leader_holds_vip=None),
    '… is LOST: …': a_status(node('TWO', alive=False, state='LOST', reason='not heard')),
    '… is DEAD: …': a_status(node('TWO', alive=False, state='DEAD', reason='never heard')),
    '… is …, its database …': a_status(node('TWO', database='FAILED')),
    'no successor though there are standbys': a_status(successor=None),
    'NODE: a critical trouble': a_status(trouble(True)),
    'NODE: a trouble': a_status(trouble(False)),
    'NODE: a problem': a_status(node('TWO', problem='it rains')),
    'a warning of the status': a_status(warnings=['it rains']),
}


def shape(text):
    """A row's text as a pattern."""
    if text.startswith('NODE: '):
        return r'TWO: it rains$'
    if text == 'a warning of the status':
        return 'it rains$'
    return '.+'.join(map(re.escape, text.split('…'))) + '$'


def test_every_line_of_check_has_a_row_with_its_severity(runbook):
    found = [(codes(row[0])[0], row[1]) for row in rows(below(runbook, 'Lines of --check'))]
    assert [text for text, _ in found[1:]] == list(CASES)
    assert re.match(shape(found[0][0]), status_check.verdict(a_status())[1])
    used = set()
    for text, word in found[1:]:
        rules = [rule for rule in status_check.RULES for one in rule.find(CASES[text])
                 if re.match(shape(text), one) and status_check.WORDS[rule.code] == word]
        assert rules, 'no rule says %r as %s' % (text, word)
        used.update(rules[:1])
    assert used == set(status_check.RULES), 'a rule has no row'


# -- troubles ---------------------------------------------------------------------------------


def sections(runbook):
    """{kind: text} of the troubles."""
    troubles = below(runbook, 'Troubles')
    return {kind: below(troubles, kind, 3) for kind in headings(troubles, 3)}


def severities_of(kind):
    """The severities that a kind of trouble may have."""
    judge = kind.severity
    cells = [cell.cell_contents for cell in judge.__closure__ or ()]
    return {word for word in cells + list(judge.__code__.co_consts) if word in SEVERITIES}


def test_every_kind_of_trouble_has_a_section_and_no_other_one(runbook):
    assert list(sections(runbook)) == [kind.event for kind in KINDS]


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.event)
def test_a_section_says_how_bad_it_is_what_to_do_and_how_it_ends(runbook, kind):
    text = sections(runbook)[kind.event]
    head = text.partition('- **Means:**')[0]
    told = set(re.findall(r'\b(%s)\b' % '|'.join(SEVERITIES), re.sub('`[^`]*`', '', head)))
    others = {'state': {'WARNING'}}.get(kind.event, set())      # of its silence, by consensus
    assert told == severities_of(kind) | others
    assert re.findall(r'^- \*\*(\w+):\*\*', text, re.MULTILINE) == ['Means', 'Look', 'Do', 'Over']
    assert codes(head), 'it quotes nothing'
    if kind.ends:
        assert 'event `%s`' % kind.ends in text


def night():
    """The stories of the night tests: what an operator reads then."""
    for path in ('daemons', 'handover', 'link', 'night', 'night_host', 'nodes_conf', 'standbys',
                 'takeover'):
        tree = ast.parse(document('tests', 'integration', 'night', 'test_%s.py' % path))
        yield from (item.name for item in tree.body
                    if isinstance(item, ast.FunctionDef) and item.name.startswith('test_'))


def test_every_trouble_that_the_night_tests_make_belongs_to_a_section(runbook):
    named = [name for line in re.findall(r'<!-- night: (.*) -->', runbook)
             for name in line.split()]
    assert sorted(named) == sorted(night())


# -- texts ------------------------------------------------------------------------------------


def told_by(path, names):
    """What these functions of a module tell, or all of it."""
    tree = parsed(path)
    trees = [tree] if names is None else [function(tree, name) for name in names]
    bugs = {text for call in calls(tree, 'AssertionError') for text in strings(call)}
    return [text for one in trees for text in strings(one) if ' ' in text.strip()
            and not text.startswith('SELECT') and text not in bugs]


@pytest.mark.parametrize('path', sorted(TELLERS))
def test_all_that_is_told_as_trouble_reason_or_warning_is_quoted(runbook, path):
    told = told_by(path, TELLERS[path])
    assert told and not missing_in(runbook, told)


def test_every_refusal_of_a_start_is_quoted(runbook):
    told = [text for path in modules('runtime') + ['main.py'] for call in calls(
        parsed(path), *REFUSALS) for arg in call.args for text in strings(ast.Expression(arg))
            + texts(arg) if ' ' in text and text not in INNER]
    assert len(told) > 25
    assert not missing_in(below(runbook, 'The daemon does not start, or ends'), told)


def test_every_warning_that_is_in_the_log_alone_is_quoted(runbook):
    told = [text for path in modules('runtime', 'network', 'ipc') for call in calls(
        parsed(path), 'warning', 'error', 'critical') for text in strings(ast.Expression(call))]
    told += [text for call in calls(parsed('runtime/service_manager.py'), '_complain')
             for text in strings(ast.Expression(call))]
    told = [text for text in told if pieces(text)]
    assert len(told) > 15
    assert not missing_in(below(runbook, 'Lines of the log alone'), told)


def quoted(runbook):
    """What the runbook says to be printed, outside of its commands: with a blank and lower case."""
    for section in ('Lines of --check', 'Why a node may not lead', 'Nobody leads',
                    'Warnings of the status', 'What commands refuse', 'No answer',
                    'Why a takeover or a switchover was stopped',
                    'The daemon does not start, or ends', 'Lines of the log alone'):
        for row in rows(below(runbook, section)):
            yield from codes(row[0])
    for text in sections(runbook).values():
        parts = re.split(r'^- \*\*(\w+):\*\*', text, flags=re.MULTILINE)
        told = dict(zip(['head'] + parts[1::2], parts[::2]))
        for part in ('head', 'Look', 'Over'):
            yield from (one for one in codes(told[part]) if '…' in one or len(one) > 50)


def test_nothing_is_quoted_that_the_source_does_not_say(runbook):
    source = '\n'.join('…'.join([' '.join(text.split())] + pieces(text))
                       for path in modules('.') for text in strings(parsed(path)))
    made_up = [piece for text in quoted(runbook) for piece in pieces(text)
               if piece not in source and piece not in ASSEMBLED
               and not text.startswith(('NODE: ', 'a warning of'))]
    assert not made_up


# -- notifications and the configuration ------------------------------------------------------


def reported():
    """{event: severities} of all that the core tells people."""
    found = {}
    for path in modules('core'):
        for call in calls(parsed(path), 'report'):
            severities, events = (texts(arg) for arg in call.args[:2])
            for event in events:
                found.setdefault(event, set()).update(severities)
    for kind in KINDS:
        if kind.begins:
            found.setdefault(kind.event, set()).update(severities_of(kind))
            if kind.over.__closure__ is None or kind.over.__closure__[0].cell_contents:
                found.setdefault(kind.ends or kind.event, set()).add('NOTICE')
    return found


def test_every_notification_has_a_row_with_its_severities_and_no_other_one(runbook):
    found = {}
    for variable, event, severities, means, _ in rows(below(runbook, 'Notifications')):
        name, = codes(event)
        assert codes(variable) == [re.sub('[^A-Z]', '_', name.upper())] and means
        found[name] = set(severities.split(', '))
    assert found == reported()


def test_every_advice_on_the_configuration_has_a_row_and_no_other_one(runbook):
    found = [codes(row[0])[0] for row in rows(below(runbook, 'Warnings of the configuration'))]
    assert len(found) == len(set(found))
    assert set(found) == {rule.code for rule in ADVICE} | OTHER_CODES
