"""A pause of the whole cluster on real databases: ahm_pause_cluster, ahm_resume_cluster."""

from .scenarios import (
    FIRST,
    PATIENT,
    SECOND,
    THIRD,
    all_stream_from,
    formed,
    is_led_by_another,
    refusal,
    succeeds,
    switched_over,
)


def test_nothing_fails_over_and_all_daemons_are_restarted_beside_their_primary():
    with formed(kind='loopback', settings=dict(PATIENT, health_check_period=0.5)) as scenario:
        cluster = scenario.cluster
        first, second, third = cluster.nodes
        assert succeeds(third, 'ahm_pause_cluster') == \
            'Command Success\nInfo: the cluster is paused\n'
        cluster.wait_until(lambda: all('the cluster is paused' in node.status_text()
                                       for node in cluster.nodes), 30, 'every status to say it')
        # The daemons of all, the leader's first: its primary is alone, and serves.
        for node in cluster.nodes:
            node.kill_ahm()
        scenario.nothing_happens(FIRST)
        first.start_ahm()
        scenario.nothing_happens(FIRST, 2 * scenario.hold)
        assert 'only a leader begins or ends a pause' in refusal(first, 'ahm_resume_cluster')
        for node in (second, third):
            node.start_ahm()
        scenario.healthy()
        assert [node.name for node in cluster.vip_holders()] == [FIRST]

        scenario.next_fault()
        switched_over(scenario, second)
        scenario.healthy(SECOND)
        second.kill_database()
        scenario.reads(cluster.nodes, SECOND, scenario.table(SECOND, {
            SECOND: ('FAILED', 'LEADER')}))
        assert 'nothing fails over in a pause: start it' in third.status_text()
        second.database.start()
        scenario.healthy(SECOND)

        succeeds(first, 'ahm_resume_cluster')
        cluster.wait_until(lambda: all('is paused' not in node.status_text()
                                       for node in cluster.nodes), 30, 'no status to say it')
        all_stream_from(cluster, SECOND)
        scenario.next_fault()
        second.power_off()
        assert is_led_by_another(cluster, SECOND, third) in (FIRST, THIRD)
