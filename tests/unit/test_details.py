"""What the log says at DEBUG of each check and command."""

from ahmlib.core import effects, events
from ahmlib.core.beacon import Verdict
from ahmlib.runtime import details


def test_a_check_says_what_it_found_and_how_long_it_took():
    event = events.DatabaseChecked(7, Verdict.REACHABLE, '', True, timeline=3, lsn=50331648)
    line = details.line(effects.CheckDatabase(7, 2.0), event, 0.0134)
    assert line.startswith('check database took 13 ms: verdict REACHABLE, in_recovery True, '
                           'timeline 3, lsn 50331648')
    assert 'token' not in line and 'reason' not in line


def test_a_command_that_failed_says_why():
    assert details.line(effects.RaiseVip(1, 2.0), events.ActionEnded(1, False, 'no right'), 1.5) \
        .startswith('raise vip took 1500 ms: ok False, reason no right')
