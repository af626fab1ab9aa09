"""The fixtures of the tests that need one daemon only."""

import pytest

from ahmlib.lab import LabError, addresses
from ahmlib.lab.workspace import Workspace

from .daemons import Lone


@pytest.fixture(scope='module')
def lab():
    """(Workspace, Plan) of all daemons of this module."""
    try:
        workspace = Workspace()
    except LabError as error:
        pytest.skip('DAEMON TESTS SKIPPED: %s' % error)
    with workspace:
        yield workspace, addresses.loopback_plan(3)


@pytest.fixture
def lone(lab):
    """A Lone."""
    one = Lone(*lab)
    try:
        yield one
    finally:
        one.close()
