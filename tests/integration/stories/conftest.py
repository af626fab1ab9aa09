"""One cluster for all stories of this directory: three nodes on loopback addresses."""

import pytest

from ..scenarios import CALM, Shared


@pytest.fixture(scope='package')
def three():
    """Three nodes with a database each; what an old primary alone has is discarded."""
    with Shared(kind='loopback', settings=dict(CALM, wait_for_primary_timeout_seconds=2,
                                               use_pg_rewind=True)) as shared:
        yield shared
