"""The order of the steps of an attach, with the steps themselves replaced."""
import pytest

from ahmlib.database import attach
from ahmlib.database.attach_job import Diverged, Refused, Streams
from ahmlib.database.history import Fork
from ahmlib.database.probe import Found
from ahmlib.database.settings import DatabaseSettings

GONE = Diverged(Fork(1, 0x1000000, 24), 0x1000018)
SETTINGS = DatabaseSettings(node_name='n', db_data_dir='/data', db_port=5444)


class Steps:
    """What was done, and what comes of the next steps."""

    def __init__(self, monkeypatch):
        self.done, self.standby, self.outcomes = [], None, []
        monkeypatch.setattr(attach.control, 'refuse_blind', lambda data_dir: None)
        monkeypatch.setattr(attach.settings_in_force, 'primary_conninfo', lambda *_: '')
        monkeypatch.setattr(attach, '_check_primary', lambda job: None)
        monkeypatch.setattr(attach, '_check_no_rewind_is_under_way', lambda job: None)
        monkeypatch.setattr(attach, '_running_standby', lambda job: self.standby)
        for name in ('_re_point', '_start_in_its_place', '_start'):
            monkeypatch.setattr(attach, name, self.step(name))
        monkeypatch.setattr(attach.rewind, 'rewind', self.rewind)
        monkeypatch.setattr(attach.recovery, 'leave_standby_signal', self.leave_standby_signal)
        monkeypatch.setattr(attach.follow, 'without_stale_slots', lambda *_: 'slots')
        self.rewound = attach.rewind.Rewound(True, '', 'that', True)

    def step(self, name):
        """A step that notes its name; what comes of it is the next of `outcomes`."""
        def taken(*_):
            self.done.append(name)
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        return taken

    def rewind(self, *_):
        """Note it."""
        self.done.append('rewind')
        return self.rewound

    def leave_standby_signal(self, *_):
        """Note it."""
        self.done.append('signal')
        return attach.recovery.Written(True)

    def attach(self, use_pg_rewind=False):
        """Attach, with these steps."""
        return attach.attach_standby(SETTINGS._replace(use_pg_rewind=use_pg_rewind), 'h', None, 5)


@pytest.fixture
def steps(monkeypatch):
    """The Steps of one test."""
    return Steps(monkeypatch)


def test_a_standby_that_runs_is_re_pointed_and_one_that_does_not_is_started(steps):
    steps.standby, steps.outcomes = Found(), [Streams('reloaded')]
    assert steps.attach() == (True, 'streams from h:5444', 'reloaded', False, 0, '', 'slots')
    steps.standby, steps.outcomes = None, [Streams('started')]
    assert steps.attach().how == 'started'
    assert steps.done == ['_re_point', '_start_in_its_place']


def test_who_diverged_is_rewound_where_that_is_allowed_and_started_once_more(steps):
    steps.outcomes = [GONE, Streams('started')]
    result = steps.attach(use_pg_rewind=True)
    assert (result.ok, result.how, result.discarded) == (True, 'rewound', 'that')
    assert steps.done == ['_start_in_its_place', 'rewind', 'signal', '_start']


def test_who_diverged_is_told_how_to_rebuild_it_where_a_rewind_is_not_allowed(steps):
    steps.standby, steps.outcomes = Found(), [GONE]
    result = steps.attach()
    assert (result.ok, result.diverged, steps.done) == (False, True, ['_re_point'])
    assert result.reason.startswith('this database diverged: 24 bytes of WAL beyond 0/1000000')
    assert result.reason.endswith('-R -X stream -P, or set use_pg_rewind')


def test_nothing_is_rewound_twice(steps):
    steps.outcomes = [GONE, GONE]
    result = steps.attach(use_pg_rewind=True)
    assert (result.ok, result.diverged) == (False, True)
    assert result.reason.endswith('-R -X stream -P') and steps.done.count('rewind') == 1


@pytest.mark.parametrize('changed', [True, False])
def test_a_rewind_that_failed_says_whether_the_directory_may_be_damaged(steps, changed):
    steps.outcomes = [GONE]
    steps.rewound = attach.rewind.Rewound(False, 'no', '', changed)
    result = steps.attach(use_pg_rewind=True)
    assert (result.ok, result.diverged) == (False, True) and 'pg_rewind: no; ' in result.reason
    assert ('may be damaged now' in result.reason) is changed is ('signal' in steps.done)


def test_what_ends_a_step_is_the_reason(steps):
    for error, diverged in ((Refused('so'), False), (Refused('so', True), True),
                            (OSError('so'), False), (ValueError('so'), False)):
        steps.outcomes = [error]
        assert steps.attach() == (False, 'so', '', diverged, 0, '', '')
