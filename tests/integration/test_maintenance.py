"""One node in maintenance, on real databases: ahm_pause_cluster and ahm_resume_cluster --node."""

from .scenarios import (
    FIRST,
    PATIENT,
    PAUSE,
    SECOND,
    THIRD,
    all_stream_from,
    formed,
    refusal,
    run,
    succeeds,
    switched_over,
)


def test_a_standby_is_stopped_and_started_at_will_while_the_others_fail_over():
    """Its database is down, its AHM is restarted, the primary dies: all goes on without it."""
    with formed(kind='loopback', settings=dict(PATIENT, health_check_period=0.5)) as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        # Asked at any node: the third one tells where the second one is.
        assert succeeds(third, 'ahm_pause_cluster', '--node=' + SECOND) == \
            'Command Success\nInfo: %s is in maintenance\n' % SECOND
        assert 'is in maintenance' in refusal(third, 'ahm_promote_node', '-h', second.host.address)
        assert 'leads, and maintenance is for standbys' in refusal(
            second, 'ahm_pause_cluster', '--node=' + FIRST)
        unknown = run(second, 'ahm_pause_cluster', '--node=nobody')
        assert unknown.code == 2 and "--node: found 'nobody', expected one of %s, " % FIRST \
            in unknown.output
        second.database.stop()
        down = scenario.table(others={SECOND: ('UNKNOWN', 'STANDBY')})
        scenario.reads(cluster.nodes, FIRST, down)
        assert second.restart_ahm().code == 0
        scenario.reads(cluster.nodes, FIRST, down)
        scenario.nothing_happens(FIRST)
        assert 'FAILED' not in scenario.log(second) and 'reported out' not in scenario.log(second)
        assert '%s: in maintenance' % SECOND in first.status_text()

        scenario.next_fault()
        first.kill_database()
        scenario.reads(cluster.nodes, THIRD, scenario.table(THIRD, {
            FIRST: ('FAILED', 'STANDBY'), SECOND: ('UNKNOWN', 'STANDBY')}))
        scenario.written_through(THIRD)
        # Its last row may be its own, for it was killed under load.
        succeeds(first, 'ahm_attach_node', '--rebuild')

        second.database.start()
        succeeds(second, 'ahm_resume_cluster', '--node=' + SECOND)
        scenario.healthy(THIRD)
        assert 'in maintenance' not in first.status_text()
        # It counts as streaming once two checks in a row have seen that.
        cluster.wait_until(lambda: run(second, 'ahm_promote_node', '--dry-run').code == 0, 30,
                           'it to be fit for a switchover', PAUSE)
        switched_over(scenario, second)
        scenario.healthy(SECOND)
        all_stream_from(cluster, SECOND)
