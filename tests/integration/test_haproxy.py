"""A real HAProxy in front of the cluster, without a VIP: our sample, and files written for Patroni.

Which file goes with which story here is in `routing.SHORT`; test_field_haproxy.py has the rest.
"""

import re
import subprocess

import pytest

from .routing import FILES, HAPROXY, SHORT, STORIES, configuration, needs_haproxy, routed
from .scenarios import FIRST, PAUSE, is_led_by_another, needs_namespaces

pytestmark = needs_namespaces


@needs_haproxy
@pytest.mark.parametrize('name, story', SHORT)
def test_writes_go_on_through_haproxy(name, story):
    with routed(name) as it:
        STORIES[story](it)


@needs_haproxy
def test_reads_go_to_standbys_each_by_what_it_is():
    """The four lists of autobase: primary, replicas, and of these the synchronous ones or not."""
    with routed('autobase') as it:
        sorts = {5000: False, 5001: True, 5002: None, 5003: True}
        it.cluster.wait_until(lambda: {port: it.reads(port) for port in sorts} == sorts, 60,
                              'each port to lead to what it is for', PAUSE)
        first = it.cluster.nodes[0].database
        first.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 (%s)'" % ', '.join(
            '"%s"' % node.name for node in it.cluster.nodes[1:]))
        first.sql('SELECT pg_reload_conf()')
        sorts.update({5002: True, 5003: None})
        it.cluster.wait_until(lambda: {port: it.reads(port) for port in sorts} == sorts, 60,
                              'the standbys to be synchronous ones', PAUSE)


@pytest.mark.parametrize('fault', ['kill_database', 'power_off'])
def test_libpq_alone_finds_the_new_primary(fault):
    with routed('') as it:
        it.fault()
        getattr(it.cluster.nodes[0], fault)()
        new = is_led_by_another(it.cluster, FIRST)
        it.writes_to(new)
        it.settles(new)         # libpq may be sooner than whoever asks the door
        it.moved(FIRST, new)


@needs_haproxy
@pytest.mark.parametrize('name', sorted(FILES))
def test_every_file_is_one_that_haproxy_takes(name):
    done = subprocess.run([HAPROXY, '-c', '-f', FILES[name]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0 and 'WARNING' not in done.stdout, done.stdout


def test_the_sample_asks_for_the_primary_and_for_standbys():
    assert re.findall(r'httpchk (.*)', configuration('sample')) == [
        'OPTIONS /primary', 'OPTIONS /replica']
