"""Each HAProxy file with each fault that test_haproxy.py leaves out: by make test-field."""

import pytest

from .routing import LONG, STORIES, needs_haproxy, routed
from .scenarios import needs_namespaces

pytestmark = [needs_namespaces, needs_haproxy]


@pytest.mark.parametrize('name, story', LONG)
def test_writes_go_on_through_haproxy(name, story):
    with routed(name) as it:
        STORIES[story](it)
