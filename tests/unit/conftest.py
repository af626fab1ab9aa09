"""What several unit tests need."""

import pytest

from ahmlib.runtime.loop import Loop


@pytest.fixture
def loop():
    """A loop of the daemon, closed afterwards."""
    made = Loop()
    yield made
    made.close()
