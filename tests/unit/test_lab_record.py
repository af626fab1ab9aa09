"""The lab's figures, from records made by hand: every number here can be checked on paper."""
import json
import math

from ahmlib.lab import record
from ahmlib.lab.record import Attempt, Gap


def writes(*rows):
    """Attempts from (t, id, result, server)."""
    return [Attempt(t - 0.01, t, number, result, server) for t, number, result, server in rows]


def probes(server, *rows):
    """One server's attempts from (t, accepted)."""
    return [Attempt(t, t, number, 'ok' if accepted else 'fail', server)
            for number, (t, accepted) in enumerate(rows)]


def accepted(server, start, end, step=0.05):
    """A server that accepts all the time."""
    count = int(round((end - start) / step))
    return probes(server, *[(start + step * number, True) for number in range(count + 1)])


FAILOVER = writes(
    (1.0, 1, 'ok', 'a'), (2.0, 2, 'ok', 'a'), (2.1, 3, 'unknown', None), (3.0, 4, 'fail', None),
    (5.5, 5, 'ok', 'b'), (6.0, 6, 'ok', 'b'))


def test_outage_runs_from_the_last_acknowledgement_before_the_fault_to_the_next():
    assert record.longest_gap(FAILOVER, after=2.5) == Gap(2.0, 5.5)
    assert record.write_outage(FAILOVER, after=2.5) == 3.5


def test_gaps_before_the_fault_do_not_count():
    slow_start = writes((0.0, 1, 'ok', 'a'), (9.0, 2, 'ok', 'a'), (9.5, 3, 'ok', 'a'))
    assert record.write_outage(slow_start, after=9.2) == 0.5


def test_a_later_and_longer_gap_is_the_outage():
    twice = writes((1.0, 1, 'ok', 'a'), (2.0, 2, 'ok', 'b'), (5.0, 3, 'ok', 'b'))
    assert record.longest_gap(twice, after=1.5) == Gap(2.0, 5.0)


def test_an_outage_that_does_not_end_is_endless():
    assert record.write_outage(FAILOVER, after=7.0) == math.inf
    assert record.write_outage([], after=1.0) == math.inf


def test_a_gap_in_which_nothing_failed_is_no_failing_outage():
    assert record.failing_outage(FAILOVER, after=2.5) == 3.5
    slow = writes((1.0, 1, 'ok', 'a'), (9.0, 2, 'ok', 'a'), (9.1, 3, 'fail', None),
                  (9.5, 4, 'ok', 'a'), (20.0, 5, 'ok', 'a'))
    assert record.failing_outage(slow, after=0.5) == 0.5
    assert record.failing_outage(slow, after=10.0) == 0.0
    assert record.failing_outage(slow, after=30.0) == math.inf


def test_only_acknowledged_rows_can_be_missing():
    acknowledged = record.acknowledged_ids(FAILOVER)
    assert acknowledged == {1, 2, 5, 6}
    assert record.missing_rows(acknowledged, {1, 3, 5, 6}) == [2]
    assert record.missing_rows(acknowledged, {1, 2, 3, 5, 6}) == []


def test_rows_the_standby_had_not_received_are_excused_and_no_others():
    attempts = writes((1, 1, 'ok', 'a'), (2, 2, 'ok', 'a'), (3, 3, 'ok', 'a'), (9, 4, 'ok', 'b'))
    assert record.missing_within_received(attempts, 'a', {1, 2, 4}) == []
    assert record.missing_within_received(attempts, 'a', {1, 3, 4}) == [2]
    assert record.missing_within_received(attempts, 'a', {1, 2, 3}) == [4]
    assert record.missing_within_received(attempts, 'a', {4}) == []


def test_first_and_last_acceptance_of_a_server():
    assert record.last_accepted(FAILOVER, 'a') == 2.0
    assert record.first_accepted(FAILOVER, 'b') == 5.5
    assert record.first_accepted(FAILOVER, 'b', after=5.5) == 6.0
    assert record.first_accepted(FAILOVER, 'c') is None
    assert record.last_accepted(FAILOVER, 'c') is None


def test_a_refused_insert_ends_an_interval_of_acceptance():
    seen = probes('a', (1.0, True), (1.05, True), (1.1, False), (1.15, True))
    assert record.accepting_intervals(seen, 'a') == [(1.0, 1.05), (1.15, 1.15)]


def test_a_prober_that_stood_still_is_no_evidence():
    seen = probes('a', (1.0, True), (9.0, True))
    assert record.accepting_intervals(seen, 'a') == [(1.0, 1.0), (9.0, 9.0)]


def test_one_primary_after_the_other_is_no_double_primary():
    assert record.double_primary_seconds(accepted('a', 0, 2) + accepted('b', 2.1, 4)) == 0.0


def test_the_overlap_of_two_primaries_is_counted():
    seen = accepted('a', 0, 3) + accepted('b', 2, 4) + probes('c', (1.0, False))
    assert abs(record.double_primary_seconds(seen) - 1.0) < 1e-6


def test_three_primaries_count_once():
    seen = accepted('a', 0, 3) + accepted('b', 1, 3) + accepted('c', 2, 4)
    assert abs(record.double_primary_seconds(seen) - 2.0) < 1e-6


def test_a_record_is_read_in_order_of_time_and_an_unfinished_line_is_skipped(tmp_path):
    rows = [{'began': 1.9, 't': 2.0, 'id': 2, 'result': 'ok', 'server': 'a'},
            {'began': 0.9, 't': 1.0, 'id': 1, 'result': 'fail', 'server': None, 'error': 'x'}]
    path = tmp_path / 'record.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows) + '{"began": 3')
    assert record.load(str(path)) == [Attempt(0.9, 1.0, 1, 'fail', None),
                                      Attempt(1.9, 2.0, 2, 'ok', 'a')]


def test_what_holds_up_those_who_ask_other_servers_is_the_machine():
    seen = probes('a', (1.0, True), (9.0, True)) \
        + probes('b', (1.0, False), (1.2, False), (3.2, False))
    assert abs(record.machine_delay(seen, 'a', 1.1) - 2.0) < 1e-6
    assert record.machine_delay(seen, 'b', 0.5) == 8.0
    assert record.machine_delay(probes('a', (1.0, True), (9.0, True)), 'a', 0.5) == 0.0
