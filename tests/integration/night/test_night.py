"""What goes wrong at 3 a.m., on real servers and daemons: it is said before it hurts, and ends.

One cluster for all of them; each trouble is made, read everywhere, ended, and read to be gone.
"""

import pytest

from tests.lab import server_faults

from ..scenarios import FIRST, SECOND, refusal
from .reading import CRITICAL, LIMIT, WARNING, begins, is_checked, is_over, is_told, utility

#: A database may hang for so long, in seconds, that all is read meanwhile.
SETTINGS = {'max_consec_failures': 240}


def reload(database, statement):
    """Run this statement, and let the server read its settings again."""
    database.sql(statement)
    server_faults.reload(database)


def test_a_primary_that_hangs_and_has_not_failed_yet(night):
    scenario, first, second, _ = night
    text = ' of 240 checks of the database failed: '
    server_faults.hang(first.database)
    try:
        scenario.cluster.wait_until(lambda: text in scenario.log(first), LIMIT, 'a failed check')
        line = [line for line in scenario.log(first).splitlines() if text in line]
        assert len(line) == 1 and '1' + text in line[0], line
        assert 'failover, if no other node reaches it either, in 119 to 119.5 s' in line[0]
        for node in (first, second):
            shown = node.utility('ahm_cluster_status', '--check', check=False)
            assert shown.code == WARNING and FIRST + ': ' in shown.output and text in shown.output
        begins(scenario, first, second, text)
        is_checked(scenario, first)
    finally:
        server_faults.resume(first.database)
    is_over(scenario, first, second, 'checks of the database failed', 'the database passes its '
            'checks again')


def test_a_replay_that_somebody_has_paused(night):
    scenario, _, second, third = night
    second.database.sql('SELECT pg_wal_replay_pause()')
    text = 'the standby receives, and cannot replay: '
    is_told(scenario, second, third, text, WARNING)
    second.database.sql('SELECT pg_wal_replay_resume()')
    is_over(scenario, second, third, text, 'the standby replays again')


def test_commits_that_wait_for_a_standby_that_is_gone(night):
    scenario, first, second, _ = night
    reload(first.database, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (elsewhere)'")
    text = 'commits wait: synchronous_standby_names asks for 1 of elsewhere, and 0 of them stream'
    is_told(scenario, first, second, text, CRITICAL)
    reload(first.database, 'ALTER SYSTEM RESET synchronous_standby_names')
    is_over(scenario, first, second, text, 'commits wait no more')


def test_a_standby_whose_way_to_the_primary_is_wrong(night):
    scenario, _, second, third = night
    good = second.database.sql("SELECT current_setting('primary_conninfo')")[0][0]
    reload(second.database, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    text = 'the standby does not stream from the primary'
    is_told(scenario, second, third, text, WARNING)
    reload(second.database, "ALTER SYSTEM SET primary_conninfo = '%s'" % good.replace("'", "''"))
    is_over(scenario, second, third, text, 'the standby streams from the primary again')


def test_a_standby_that_is_down_is_told_before_it_counts_as_failed(night):
    scenario, _, second, third = night
    second.database.stop()
    text = 'checks of the database failed: '
    scenario.cluster.wait_until(lambda: text in third.utility(
        'ahm_cluster_status', '--check', check=False).output, LIMIT, 'the third to tell it')
    assert SECOND + ': ' in third.status_text()
    begins(scenario, second, third, text)
    is_checked(scenario, second)
    second.database.start()
    is_over(scenario, second, third, text, 'the database passes its checks again')


def test_a_script_that_is_needed_at_the_next_takeover_only_and_is_not_there(night):
    scenario, first, second, _ = night
    text = 'a takeover here would fail: promotion_command: /nowhere/promote is not there'
    second.reload_ahm(promotion_command='/nowhere/promote')
    is_told(scenario, second, first, text, WARNING)
    reason = refusal(second, 'ahm_promote_node', '--dry-run')
    assert reason == 'a takeover of %s would fail: %s' % (SECOND, text.split(': ', 1)[1]) + \
        ': install it, or correct the path'
    second.reload_ahm(promotion_command=None)
    is_over(scenario, second, first, text, 'a takeover here would get through now')


def raise_max_connections(database):
    """Set it, and restart the server, for which a few checks fail."""
    database.sql('ALTER SYSTEM SET max_connections = 80')
    database.stop()
    database.start()


def test_max_connections_raised_everywhere_but_on_one_standby(night):
    scenario, first, second, third = night
    if second.database.installation.version < 14:
        pytest.skip('before PostgreSQL 14 the standby ends at once')
    text = 'the standby receives, and cannot replay: '
    for node in (first, third):
        raise_max_connections(node.database)
    is_told(scenario, second, third, text, WARNING)
    assert 'max_connections = 60' in utility(third)[0]
    raise_max_connections(second.database)
    is_over(scenario, second, third, text, 'the standby replays again')
