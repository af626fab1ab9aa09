"""What is said of replication slots, and which of them are the cluster's own."""
from ahmlib.database import slots


class Answers:
    """A connection that answers every query with these rows."""

    def __init__(self, *rows):
        self.rows = rows

    def query(self, sql, arguments=None):
        return list(self.rows)


def row(name, kept, active=False, **more):
    """A row of slots.ALL."""
    return dict(slot_name=name, slot_type='physical', active=active, **more), kept


def said_of(server):
    """What is said of the slots of this server."""
    return slots.remark(slots.keeping(server))


MB = 1 << 20


def test_only_inactive_slots_that_keep_much_are_said_the_worst_first():
    said = said_of(Answers(
        row('little', 64 * MB), row('active', 900 * MB, True), row('nothing', None),
        row('synced', 900 * MB, synced=True), row('temporary', 900 * MB, temporary=True),
        row('some', 64 * MB + 1), row('most', 300 * MB)))
    assert said == ('inactive replication slots keep WAL here: "most" more than 256 MB, "some" '
                    "more than 64 MB; drop those that nobody needs (SELECT "
                    "pg_drop_replication_slot('most'))")
    assert said_of(Answers(row('little', 64 * MB))) == ''


def test_what_is_said_changes_with_doublings_only_and_stays_short():
    texts = {said_of(Answers(row('a', size * MB))) for size in range(65, 129)}
    assert len(texts) == 1
    many = said_of(Answers(*[row('slot_%d' % number, 1 << 40) for number in range(9)]))
    assert 'and 4 others' in many and '512 GB' in many


def test_monitors_are_told_what_every_slot_keeps_whoever_uses_it():
    found = slots.keeping(Answers(row('used', 3 * MB, True), row('ahead', -8), row('none', None)))
    assert slots.retained(found) == (('ahead', 0), ('used', 3 * MB))
    many = slots.keeping(Answers(*[row('slot_%d' % number, number) for number in range(999)]))
    assert min(kept for _, kept in slots.retained(many)) == 999 - slots.RETAINED_MAX


def test_the_name_of_a_node_is_folded_to_that_of_a_slot():
    assert slots.folded('AHM-Node.1') == 'ahm_node_1'
    assert slots.folded('10.0.0.1') == '10_0_0_1'
    assert len(slots.folded('x' * 70)) == 63


def test_a_name_that_no_slot_can_have_is_said_without_asking_anybody():
    assert 'no name of a slot' in slots.ensure("A'b", 'n', 'none', 'none', 1.0)
