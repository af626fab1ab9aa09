"""ahm_events on real databases: one event tells the whole failover, whoever is asked."""

import datetime
import json
import os
import pwd
import xml.etree.ElementTree as ElementTree

from ahmlib.lab import record

from .scenarios import FIRST, NAMES, all_stream_from, formed, is_led_by_another, run, switched_over


def told(node, *words, code=0):
    """The events that ahm_events prints on this node, as a list."""
    done = run(node, 'ahm_events', '--json', *words)
    assert done.code == code, done.output
    return json.loads(done.output)['events']


def of_kind(events, kind):
    """Those of one kind."""
    return [event for event in events if event['kind'] == kind]


def test_one_event_holds_the_whole_timeline_of_a_failover_and_adds_up_to_its_outage():
    with formed(kind='loopback') as scenario:
        cluster = scenario.cluster
        cluster.nodes[0].kill_database()
        new = is_led_by_another(cluster, FIRST)
        scenario.written_through(new)
        cluster.wait_until(lambda: of_kind(told(cluster.nodes[2]), 'failover'), 30,
                           'the failover to be an event')
        events = told(cluster.nodes[0])
        assert {event['node'] for event in events} == set(NAMES)
        assert [(event['term'], event['seq']) for event in events] == sorted(
            (event['term'], event['seq']) for event in events)
        failover, = of_kind(events, 'failover')
        assert failover['node'] == new and 'its database failed' in failover['cause']
        steps = {step['name']: step['took'] for step in failover['steps']}
        assert list(steps)[:3] == ['detection', 'election', 'lease'] and 'promotion' in steps
        assert list(steps)[-1] == 'VIP up'
        # It begins with the last good check, at most a period and a check before the kill.
        total, outage = sum(steps.values()), record.write_outage(
            scenario.client.attempts(), scenario.fault_at)
        settings = cluster.settings
        before = settings['health_check_period'] + settings['db_connect_timeout']
        print('outage %.2f s, steps %.2f s: %s' % (outage, total, steps))
        assert outage - 1.0 <= total <= outage + before + 1.0
        # Cause before effect, on whichever node: the old leader gave up before the new one led.
        order = [(event['node'], event['kind']) for event in events]
        assert order.index((FIRST, 'step down')) < order.index((new, 'failover'))
        assert told(cluster.nodes[1], '--since', '1d') == told(cluster.nodes[1])
        later = datetime.datetime.now() + datetime.timedelta(hours=1)
        assert told(cluster.nodes[1], '--since', later.strftime('%Y-%m-%dT%H:%M')) == []
        path = os.path.join(cluster.node(new).data_dir, 'failover.svg')
        assert run(cluster.node(new), 'ahm_events', '--plot', path).code == 0
        assert 'promotion' in ''.join(ElementTree.parse(path).getroot().itertext())
        scenario.finish(FIRST, new)


def test_a_switchover_says_who_asked_and_events_outlive_the_daemon():
    with formed(kind='loopback') as scenario:
        cluster, second = scenario.cluster, scenario.cluster.nodes[1]
        refused = run(cluster.nodes[0], 'ahm_attach_node')
        assert refused.code == 1
        switched_over(scenario, second)
        all_stream_from(cluster, second.name)
        switchover, = of_kind(told(cluster.nodes[2]), 'switchover')
        uid = cluster.workspace.user.uid
        by = {'address': None, 'uid': uid, 'user': pwd.getpwuid(uid).pw_name}
        assert switchover['by'] == by and switchover['node'] == second.name
        assert switchover['steps'][0]['name'] == 'handover'
        asked, = of_kind(told(cluster.nodes[2]), 'asked')
        assert (asked['cause'], asked['by']) == ('promote', by)
        no, = of_kind(told(cluster.nodes[2], '--node', FIRST), 'refused')
        assert 'leads: there is nothing to attach' in no['cause'] and no['by'] == by
        before = told(cluster.nodes[2], '--node', second.name)
        second.stop_ahm()
        silent = run(cluster.nodes[2], 'ahm_events')
        assert silent.code == 4 and 'no events from %s' % second.name in silent.output
        second.start_ahm()
        cluster.wait_until(second.status, 30, '%s to answer' % second.name)
        after = told(cluster.nodes[2], '--node', second.name)
        assert after[:len(before)] == before
        assert [event['kind'] for event in of_kind(after, 'daemon ended')] == ['daemon ended']
        assert [event['seq'] for event in after] == sorted({event['seq'] for event in after})
