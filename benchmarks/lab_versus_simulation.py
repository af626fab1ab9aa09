"""Do simulated and real outages agree?  The same faults in the lab and in the simulation.

ahm_simulate tells operators how long a failover will keep clients from writing.  That is worth
something only if it is true.  So this program lets the same faults happen to a real cluster (three
PostgreSQL servers and AHM daemons in network namespaces, with a client that writes through the VIP)
and to a simulated one of the same configuration: the settings of the simulated nodes are read from
the ahm_config.yml and nodes.conf that the lab wrote for its own.  Node 1 leads and is struck in
both, in the lab in a new cluster for every run, at an instant that is random relative to beacons
and health checks.

The outage is what a client sees that the fault does not cut off together with the node: from the
last acknowledged row before the fault to the first one after the longest pause, which another
server acknowledged.  Simulated clients reach a node that is cut off from the others as well and
write there until it steps down, so the outage of a simulated cut is counted from the fault, too.

Simulated clients learn at once that nobody answers.  A real one waits until its patience ends, and
does not notice meanwhile that the VIP is back: so the lab's client gets little of it here.

A fault agrees when the median of the lab lies between the simulated 5 % and 95 %, each widened by
0.5 s, and the two medians differ by at most 30 % of the simulated one, or 0.3 s.

Usage:
  lab_versus_simulation [--fault=NAME]... [options]

Options:
  --fault=NAME    One of power-off (the primary's host loses power), cut (its host is cut off from
                  all others), kill-database (kill -9 of its database server); all three without.
  --runs=N        Runs of each fault in the lab (default: 10).
  --simulated=N   Simulated runs of each fault (default: 300).
  --patience=S    Seconds after which the client in the lab gives up an attempt; up to so much
                  passes before it notices that the VIP is back (default: 0.2).
  --seed=S        What chance is drawn from (default: 1).
  --help          Print this help.

Exit status: 0 all agree; 1 a fault does not, or a cluster of the lab failed: the reasons are
printed; 2 wrong usage, or no lab with network namespaces can be made here.
"""

import math
import platform
import random
import signal
import sys
import time
from typing import List, NamedTuple

from ahmlib.config import loader
from ahmlib.lab import LabError, record
from ahmlib.lab.cluster import Recorder
from ahmlib.lab.demo import is_formed
from ahmlib.lab.installations import find_postgres
from ahmlib.lab.postgres import DATABASE, SUPERUSER
from ahmlib.simulation import scenario
from ahmlib.simulation.report import aligned, quantile, statistics
from ahmlib.utilities import common
from tests.lab.cluster import Cluster, loopback_available
from tests.lab.network import namespaces_available

AGREE, DISAGREE, CANNOT = 0, 1, 2

#: The faults by the simulation's names, and what does the same to a node of the lab.
FAULTS = {
    'power-off': lambda node: node.power_off(),
    'cut': lambda node: node.isolate(),
    'kill-database': lambda node: node.kill_database(),
}

NODES = 3
CLIENT = 'ahmlib.lab.client'
FORM_LIMIT, FAILOVER_LIMIT = 60, 60
#: Rows that the client has written before a fault, and that end an outage.
ROWS = 50
RUNS_MAX, SEED_MAX = 100000, 2 ** 32 - 1
PATIENCE_LEAST, PATIENCE_MOST = 0.05, 60.0

#: What still counts as agreement.
WIDENED_SECONDS = 0.5
MEDIANS_SHARE, MEDIANS_SECONDS = 0.3, 0.3

COLUMNS = ('fault', 'lab runs', 'lab min', 'median', 'max', 'simulated runs', '5 %', 'median',
           '95 %', 'verdict')


class Measured(NamedTuple):
    """All outages of one fault in seconds; endless ones are infinite."""
    fault: str
    lab: List[float]
    simulated: List[float]


# -- the lab -----------------------------------------------------------------------------------

def in_lab(fault, patience, chance):
    """(outage in seconds, Config of the struck node) of one run in a lab of its own."""
    with Cluster('namespaces', nodes=NODES) as cluster:
        config = configuration_of(cluster.nodes[0])
        cluster.start_ahm()
        cluster.wait_until(lambda: is_formed(cluster), FORM_LIMIT, 'the cluster to form')
        client = start_client(cluster, patience)
        cluster.wait_until(lambda: len(record.acknowledged_ids(client.attempts())) >= ROWS,
                           FORM_LIMIT, 'the client to write through the VIP')
        time.sleep(calm_seconds(config, chance))
        return outage_of(cluster, client, FAULTS[fault]), config


def start_client(cluster, patience):
    """The Recorder of a client that writes through the VIP and gives up after `patience`."""
    conninfo = 'host=%s port=%d user=%s dbname=%s' % (
        cluster.plan.vip, cluster.plan.db_port, SUPERUSER, DATABASE)
    return Recorder(cluster.client_host, CLIENT, 1, ['--conninfo', conninfo,
                                                     '--limit', '%g' % patience])


def configuration_of(node):
    """The Config of a node of the lab, read from its own files as its daemon reads them."""
    return loader.load(node.config_file, working_directory=node.host.directory,
                       is_local=lambda address: address == node.host.address, check_host=False)


def calm_seconds(config, chance):
    """How long to wait before the fault: what the simulation waits, any phase of the periods."""
    own = scenario.cluster_settings(config)[0]
    return own.timing.hold + 1 + chance.uniform(0, own.interval + own.health_check_period)


def outage_of(cluster, client, strike):
    """Strike node 1, wait until another server writes, and return the outage in seconds."""
    struck = cluster.nodes[0]
    fault_at = time.monotonic()
    strike(struck)
    try:
        cluster.wait_until(lambda: rows_elsewhere(client.attempts(), struck) >= ROWS,
                           FAILOVER_LIMIT, 'rows that another server acknowledged')
    except LabError as error:
        say('%s' % error)
        client.stop()
        return math.inf
    return record.write_outage(client.stop(), fault_at)


def rows_elsewhere(attempts, struck):
    """How many rows other servers than that of the struck node acknowledged."""
    return len(record.acknowledged_ids(attempts)
               - record.acknowledged_ids(attempts, struck.name))


# -- the simulation ----------------------------------------------------------------------------

def in_simulation(config, fault, runs, seed):
    """The outages in seconds of so many simulated runs with this configuration."""
    settings = scenario.cluster_settings(config)
    plan = ((0.0, fault, scenario.first_primary(settings)),)
    return [simulated_outage(scenario.run(config, settings, plan, scenario.run_seed(seed, number)))
            for number in range(1, runs + 1)]


def simulated_outage(outcome):
    """The outage of an Outcome counted from the fault, whenever it began to be one."""
    if outcome.write_outage_seconds is None:
        return math.inf
    return outcome.write_outage_seconds + (outcome.outage_from or 0.0)


# -- the comparison ----------------------------------------------------------------------------

def complaints(measured):
    """What is out, a sentence each; none where lab and simulation agree."""
    found = ['%s: %d of %d %s runs did not recover' % (
        measured.fault, values.count(math.inf), len(values), where)
        for where, values in (('lab', measured.lab), ('simulated', measured.simulated))
        if math.inf in values]
    return found or _out_of_range(measured) + _medians_apart(measured)


def _out_of_range(measured):
    lab = statistics(measured.lab).median
    low = quantile(measured.simulated, 0.05) - WIDENED_SECONDS
    high = quantile(measured.simulated, 0.95) + WIDENED_SECONDS
    if low <= lab <= high:
        return []
    return ["%s: the lab's median %.2f s is not between the simulated 5 %% and 95 %% widened by "
            '%g s, %.2f s to %.2f s' % (measured.fault, lab, WIDENED_SECONDS, low, high)]


def _medians_apart(measured):
    lab, simulated = (statistics(values).median for values in measured[1:])
    allowed = max(MEDIANS_SHARE * simulated, MEDIANS_SECONDS)
    if abs(lab - simulated) <= allowed:
        return []
    return ["%s: the lab's median %.2f s and the simulated median %.2f s differ by %.2f s, more "
            'than %.2f s' % (measured.fault, lab, simulated, abs(lab - simulated), allowed)]


def table(everything):
    """The lines of the table."""
    return aligned([COLUMNS] + [_cells(measured) for measured in everything],
                   ('fault', 'verdict'))


def _cells(measured):
    lab, simulated = statistics(measured.lab), statistics(measured.simulated)
    figures = [lab.least, lab.median, lab.most], [
        quantile(measured.simulated, 0.05), simulated.median, simulated.most_of_95]
    first, second = (['%.2f' % value for value in values] for values in figures)
    return tuple([measured.fault, str(len(measured.lab))] + first
                 + [str(len(measured.simulated))] + second
                 + ['DISAGREES' if complaints(measured) else 'agrees'])


# -- the program -------------------------------------------------------------------------------

def measure(fault, runs, simulated, patience, seed):
    """The Measured of one fault; the same seed draws the same instants."""
    chance, lab, config = random.Random('%s %d' % (fault, seed)), [], None
    for number in range(1, runs + 1):
        outage, config = in_lab(fault, patience, chance)
        lab.append(outage)
        say('%s, run %d of %d in the lab: %.2f s' % (fault, number, runs, outage))
    return Measured(fault, lab, in_simulation(config, fault, simulated, seed))


def say(text):
    """Tell on stderr how far it is."""
    sys.stderr.write(text + '\n')
    sys.stderr.flush()


def why_not_here():
    """Why no lab with namespaces can be made here; None where it can."""
    return namespaces_available() or loopback_available()


def compare(faults, runs, simulated, patience, seed):
    """Measure these faults, print the table and what is out, and return the exit code."""
    everything = [measure(fault, runs, simulated, patience, seed) for fault in faults]
    say('')
    lines = ['Write outages in seconds; %d nodes, PostgreSQL %d, Python %s, a client with %g s of '
             'patience, seed %d' % (NODES, find_postgres().version, platform.python_version(),
                                    patience, seed)]
    wrong = [text for measured in everything for text in complaints(measured)]
    common.put('\n'.join(lines + table(everything) + [''] + wrong
                         + ['Lab and simulation %s.' % ('DISAGREE' if wrong else 'agree')]))
    return DISAGREE if wrong else AGREE


def main(argv):
    """Do what is asked for and return the exit code."""
    args = common.arguments(__doc__, argv)
    faults = list(dict.fromkeys(args['--fault'])) or list(FAULTS)
    for fault in faults:
        if fault not in FAULTS:
            raise common.Failure('--fault: found %r, expected one of %s'
                                 % (fault, ', '.join(FAULTS)), common.USAGE)
    numbers = [_number(args, '--runs', '10', 1, RUNS_MAX),
               _number(args, '--simulated', '300', 1, RUNS_MAX),
               _patience(args['--patience'] or '0.2'), _number(args, '--seed', '1', 0, SEED_MAX)]
    reason = why_not_here()
    if reason:
        say('lab_versus_simulation cannot run here: %s' % ' '.join(reason.split()))
        return CANNOT
    try:
        return compare(faults, *numbers)
    except LabError as error:
        say('FAILED: %s' % error)
        return DISAGREE


def _number(args, option, default, least, most):
    text = args[option] or default
    if not text.isdigit() or not least <= int(text) <= most:
        raise common.Failure('%s: found %r, expected a whole number from %d to %d'
                             % (option, text, least, most), common.USAGE)
    return int(text)


def _patience(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not PATIENCE_LEAST <= seconds <= PATIENCE_MOST:
        raise common.Failure('--patience: found %r, expected seconds from %g to %g'
                             % (text, PATIENCE_LEAST, PATIENCE_MOST), common.USAGE)
    return seconds


if __name__ == '__main__':
    # A SIGTERM ends it like an exception, so that the lab is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(common.run(main))
