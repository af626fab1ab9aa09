"""The long search: random schedules on all processors, for as long as one likes.

    python -m tests.simulation.search [SECONDS [FIRST_SEED]]

Every schedule follows from its cluster and its seed alone.  What breaks is shrunk (steps are left
out as long as it breaks the same way) and printed as a plan that can be pinned as a story.  The
ordinary tests search with hypothesis; this one is for hours, and draws several times as fast.

In every third schedule the parts of a node decide in an order of its number (`order`): what then
breaks was right by coincidence of lines.
"""

import contextlib
import multiprocessing
import sys
import time
from random import Random

from ahmlib.core.node import Node
from ahmlib.simulation.faults import FAULTS, OF_MODES, OPERATORS, apply, repair
from ahmlib.simulation.world import Broken

from .clusters import CLUSTERS, EVERY, MODES, SYNCHRONOUS
from .plans import deadlines, formed, recovers

STEPS_MAX = 8
REPORT_EVERY_SECONDS = 60.0

#: Faults after which somebody takes over; node 0 leads first, so it often meets one of them.
LOSSES = ('power-off', 'cut', 'part', 'crash', 'freeze', 'stop', 'kill-database', 'hang-database')
LOSS_SHARE = 0.6
OPERATOR_SHARE, OPERATOR_STEPS_MAX = 0.6, 3
#: Prime to the number of clusters, so that each of them meets shuffled orders.
SHUFFLED_EVERY = 3


def place(number):
    """The cluster of this number, of those whose schedules are known by number."""
    return sorted(CLUSTERS)[number % len(CLUSTERS)]


def anywhere(number):
    """The cluster of this number, of all."""
    return sorted(EVERY)[number % len(EVERY)]


def draw(cluster, seed, operators=True):
    """(plan, loss, seed of the world) of this number; the same without what operators ask for."""
    random, members = Random('%s %d' % (cluster, seed)), EVERY[cluster]
    timing = members[0].timing
    known = (set(FAULTS) - set(OPERATORS)).union(OF_MODES if cluster in MODES else ())
    names = random.sample(sorted(known), random.randrange(2, 12))
    plan = []
    for _ in range(random.randrange(1, STEPS_MAX + 1)):
        near = random.choice(deadlines(timing)) + random.uniform(-0.05, 0.05)
        gap = random.choice((near, random.uniform(0, 2 * timing.hold), random.uniform(0, 1)))
        plan.append((max(0.0, gap), random.choice(names), random.randrange(len(members))))
    if random.random() < LOSS_SHARE:
        plan.insert(random.randrange(len(plan) + 1),
                    (random.uniform(0, 2), random.choice(LOSSES), 0))
    loss, world = random.choice((0.0, 0.0, 0.1, 0.3)), random.randrange(2 ** 32)
    if operators and random.random() < OPERATOR_SHARE:
        for _ in range(random.randrange(1, OPERATOR_STEPS_MAX + 1)):
            plan.insert(random.randrange(len(plan) + 1), (
                random.uniform(0, 2 * timing.hold), random.choice(OPERATORS),
                random.randrange(len(members))))
    return plan, loss, world


@contextlib.contextmanager
def shuffled(order):
    """Nodes whose parts decide in this order, drawn from a number; None: in that of the code."""
    straight = Node.each_in_turn

    def each_in_turn(node):
        steps = straight(node)
        if order is not None:
            Random(order).shuffle(steps)
        return steps
    Node.each_in_turn = each_in_turn
    try:
        yield
    finally:
        Node.each_in_turn = straight


def attempt(cluster, plan, loss, seed, order=None):
    """What this schedule breaks: (kind, message), or None."""
    with shuffled(order):
        return _attempt(cluster, plan, loss, seed)


def _attempt(cluster, plan, loss, seed):
    try:
        world = formed(EVERY[cluster], seed, min(loss, 0.1),
                       synchronous=SYNCHRONOUS.get(cluster, 0))
        world.network.loss = loss
        apply(world, plan)
        repair(world)
        if not recovers(world):
            return 'does not recover', '\n'.join(world.trace[-100:])
    except Broken as broken:
        return 'L%d' % broken.lemma.number, str(broken)
    return None


def shrink(cluster, plan, loss, seed, kind, order):
    """The shortest plan found that breaks the same way."""
    place = 0
    while place < len(plan):
        shorter = plan[:place] + plan[place + 1:]
        found = attempt(cluster, shorter, loss, seed, order)
        if found is not None and found[0] == kind:
            plan = shorter
        else:
            place += 1
    return plan


def look_anywhere(number):
    """One schedule in any cluster: (cluster, finding as text or None)."""
    return look(number, anywhere)


def look(number, where=place):
    """One schedule: (cluster, finding as text or None)."""
    cluster = where(number)
    plan, loss, seed = draw(cluster, number)
    order = number if number % SHUFFLED_EVERY == 0 else None
    found = attempt(cluster, plan, loss, seed, order)
    if found is None:
        return cluster, None
    plan = shrink(cluster, plan, loss, seed, found[0], order)
    kind, message = attempt(cluster, plan, loss, seed, order)
    return cluster, '%s in %r, loss %g, seed %d, order %s:\n%r\n%s' % (
        kind, cluster, loss, seed, order, plan, message)


def main(seconds=3600.0, first=0):
    """Search for so many seconds; the number of findings."""
    began, shown, done, findings = time.time(), time.time(), 0, 0
    with multiprocessing.Pool() as pool:
        for _, text in pool.imap_unordered(look_anywhere, range(first, sys.maxsize), chunksize=8):
            done += 1
            if text is not None:
                findings += 1
                print('=' * 100, text, sep='\n', flush=True)
            if time.time() > shown + REPORT_EVERY_SECONDS:
                shown = time.time()
                print('%d schedules, %d findings, %.0f s' % (done, findings, shown - began),
                      flush=True)
            if time.time() > began + seconds:
                break
        pool.terminate()
    print('%d schedules, %d findings, next seed %d' % (done, findings, first + done + 1000))
    return findings


if __name__ == '__main__':
    sys.exit(1 if main(*[kind(text) for kind, text in zip((float, int), sys.argv[1:])]) else 0)
