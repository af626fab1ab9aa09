"""How hypothesis draws, for all tests alike; and the umask.

Whether a change is good must not hang on luck: by default the same examples are drawn every time,
and a busy machine may take as long as it likes for each.  What was never drawn is looked for at
random and at length, where a finding delays nobody.

AHM_PROFILE: `dev` for some seconds, `ci` (the default) for every change, `nightly` at random.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

#: A data_dir that a group may write is refused, and some distributions make every directory so.
os.umask(0o022)

#: It names the configuration of whoever runs the tests, and none of theirs.
os.environ.pop('AHM_CONFIG', None)

PROFILE = os.environ.get('AHM_PROFILE', 'ci')

_CALM = {'deadline': None, 'suppress_health_check': [HealthCheck.too_slow]}
settings.register_profile('dev', max_examples=20, derandomize=True, **_CALM)
settings.register_profile('ci', derandomize=True, **_CALM)
settings.register_profile('nightly', max_examples=5000, **_CALM)
settings.load_profile(PROFILE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option of `tests/traces`; pytest reads options of the topmost conftest.py only."""
    parser.addoption('--rewrite', action='store_true',
                     help='write the traces of tests/traces anew, for a review of their difference')
