"""AgensSQL 2.13: PostgreSQL 13 whose pg_ctl is called ag_ctl, found by AGHOME and AGDATA."""

import contextlib
import os

import pytest

from ahmlib.lab.installations import in_directory, usable_by
from ahmlib.lab.workspace import Workspace
from tests.lab import binaries
from tests.lab.cluster import loopback_available

from . import steps

AGENSSQL_IS_FROM = 13
AG_CTL = """#!/bin/sh
echo "$*" >> {home}/ag_ctl.calls
exec {bin_dir}/pg_ctl "$@"
"""


@contextlib.contextmanager
def agenssql():
    """A directory as AGHOME names one, and the Installation in it, made of another's programs.

    There is no pg_ctl in it, and ag_ctl writes down what it is told.
    """
    # The machine's own is better than no test of ag_ctl at all.
    version = None if loopback_available(AGENSSQL_IS_FROM) else AGENSSQL_IS_FROM
    if loopback_available(version):
        pytest.skip('AG_CTL NOT TESTED: %s' % loopback_available(version))
    with Workspace() as workspace:
        real = usable_by(workspace.user, binaries.find_postgres(version), workspace.directory)
        home = workspace.make_directory('AgensSQL')
        bin_dir = workspace.make_directory('AgensSQL', 'bin')
        for name in set(os.listdir(real.bin_dir)) - {'pg_ctl'}:
            os.symlink(os.path.join(real.bin_dir, name), os.path.join(bin_dir, name))
        workspace.write(os.path.join(bin_dir, 'ag_ctl'),
                        AG_CTL.format(home=home, bin_dir=real.bin_dir), executable=True)
        yield home, in_directory(bin_dir)


def orders(home):
    """What AHM, which waits for the server itself (-W), has told ag_ctl: a set of actions."""
    with open(os.path.join(home, 'ag_ctl.calls')) as calls:
        words = [line.split() for line in calls]
    return {each[0] for each in words if '-W' in each}


def test_ag_ctl_in_aghome_serves_failover_attach_and_switchover(record_property):
    with agenssql() as (home, installation), steps.formed(
            installation.version, installation=installation,
            settings={'db_bin_dir': None, 'db_data_dir': None},
            environments=lambda node: {'AGHOME': home, 'AGDATA': node.database.data_dir}
    ) as scenario:
        record_property('row', 'ag_ctl, PostgreSQL %d' % installation.version)
        new = steps.kill_9_of_the_primary_database(scenario)
        record_property('kill -9', steps.outage(scenario))
        assert orders(home) == {'promote'}
        steps.a_plain_start_makes_a_standby(scenario)
        steps.is_attached(scenario, new)
        assert orders(home) == {'promote', 'start'}
        steps.is_promoted_back(scenario)
        record_property('switchover', steps.outage(scenario))
        steps.lost_nothing(scenario, steps.OLD)
