"""What several of these tests need: the tarball, built once."""

import os

import pytest

from .pythons import build_tarball


@pytest.fixture(scope='session')
def built(tmp_path_factory):
    """The path of the tarball."""
    place = str(tmp_path_factory.mktemp('dist'))
    build_tarball(place)
    return os.path.join(place, 'AHM_1.0.tar.gz')
