"""How many failovers of three nodes one processor simulates in a second.

    python -m benchmarks.simulation_speed [SECONDS]

One schedule: three nodes form a cluster, the primary's host loses power, another node is promoted
and serves, with all lemmas checked at every step.  Prints the median over rounds, because machines
are noisy, and what one event costs; profile it with `python -m cProfile -s tottime`.
"""

import statistics
import sys
import time

from ahmlib.simulation.host import make_settings
from ahmlib.simulation.world import World

ROUND = 20
FORM_SECONDS = 30.0
WATCH_SECONDS = 3.0


def failover(seed):
    """One schedule; the number of happenings."""
    world = World(make_settings(3), seed=seed)
    world.start_all()
    assert world.run_until(lambda: world.serves() == 0, FORM_SECONDS)
    world.run(WATCH_SECONDS)
    world.power_off(0)
    assert world.run_until(lambda: world.serves() in (1, 2), FORM_SECONDS)
    world.run(WATCH_SECONDS)
    return world.counter


def main(seconds=20.0):
    """Measure for so many seconds, and print."""
    began, first, speeds, costs = time.time(), 0, [], []
    while time.time() < began + seconds or len(speeds) < 3:
        before, happened = time.process_time(), 0
        for seed in range(first, first + ROUND):
            happened += failover(seed)
        took = time.process_time() - before
        speeds.append(ROUND / took)
        costs.append(1e6 * took / happened)
        first += ROUND
    print('%s: %.1f schedules a second and processor (median of %d rounds, %.1f to %.1f), '
          '%.0f microseconds a happening' % (
              sys.implementation.name, statistics.median(speeds), len(speeds), min(speeds),
              max(speeds), statistics.median(costs)))


if __name__ == '__main__':
    main(*map(float, sys.argv[1:]))
