"""Schedules that broke something once, as the search printed them after shrinking.

Each is named for what it showed.  They run through the same checks as the search: all lemmas at
every step, and service again, or a good reason not to, once the faults are over.
"""

import pytest

from .search import attempt

#: What must not happen again: (cluster, plan, loss of rows, seed of the world), and the order of
#: the parts where that matters.
FOUND = {
    'a pause asked of a leader whose disk stalls costs it no lease': (
        'five nodes, equal priorities',
        [(0.5156634343527482, 'stall-disk', 0), (3.1506373193637747, 'pause-cluster', 1)],
        0, 3120855516),
    'a leader that leaves has no VIP command under way': (
        'two nodes, half votes, a trusted server',
        [(0.2331666736392426, 'power-off', 0), (1.1663671768735828, 'answer-for-vip', 0),
         (0.44632124229662473, 'vip-hangs', 1), (0.5192696336670594, 'thaw-database', 1),
         (0.5352429123036913, 'stop', 1)], 0.1, 2397020428, 777001758),
    'nobody is elected by a vote of his own that is not on disk': (
        'two nodes, half votes, a trusted server, fencing',
        [(0.006973744627915649, 'fill-disk', 0), (0.6808117819054496, 'stop', 0),
         (0.6312082894967309, 'hide-wal', 1), (0.15683208473738774, 'promote-fails', 0),
         (0.18069087852379598, 'vip-fails', 0)], 0.1, 3822495710),
    'nobody is promoted before one that came into contact meanwhile has looked, too': (
        'four nodes, half votes, a trusted server',
        [(0.6107169807836274, 'power-off', 3), (3.260896359101783, 'hook-lies', 2),
         (1.5890040188492316, 'power-off', 1), (0.12468984744876932, 'hook-lies', 2),
         (1.1099905492276316, 'drop-vip', 0), (0.7933600435604797, 'stop-lies', 0),
         (1.480628937547994, 'hang-database', 0)], 0.3, 1069296370),
    'a leader that steps down does not make the others count as not streaming': (
        'two nodes and a witness',
        [(1.4967671383128165, 'kill-database', 0), (0.4824021163978637, 'vip-hangs', 0),
         (2.0889456858508093, 'follow-fails', 2), (2.511548906628199, 'freeze', 2),
         (2.6275630733846524, 'kill-database', 2)], 0, 889705234),
    'a node that never followed the primary on record is not promoted': (
        'three nodes, synchronous',
        [(0.3521965639165783, 'part', 1), (2.3015848605784717, 'start', 0),
         (1.694082101166472, 'power-off', 2)], 0, 3914650953),
    'a node that was cut off twice is not promoted on the timeline before the last': (
        'three nodes, synchronous',
        [(0.7947455001325653, 'cut', 0), (1.1158460723909096, 'signal-fails', 2),
         (1.1653881782669575, 'signal-fails', 0), (0.712062225175868, 'signal-fails', 0),
         (0.7903898536338886, 'cut', 2), (0.7345644521315539, 'cut', 0),
         (0.20285725378512454, 'signal-fails', 2), (2.7080584009201734, 'cut', 2)],
        0.3, 2658983420),
    'who left and came back backs no lease that an election by others would free it from': (
        'three nodes, default timings',
        [(0.27216175403370546, 'stop', 2), (18.362025864596767, 'mute', 0),
         (8.031770637855907, 'start', 2), (25.039032023498883, 'stop', 2)], 0.1, 49112352),
    'a follower that is killed while it stops a second primary keeps its promise': (
        'three nodes',
        [(1.0, 'power-off', 0), (6.4, 'deafen-multicast', 2), (0.4, 'power-on', 0),
         (0.1, 'crash', 0), (0.0, 'kill-database', 0), (0.1, 'cut', 1), (0.0, 'start', 0)], 0, 0),
    'no vote of one that forgot its leader while it stopped a second primary': (
        'three nodes',
        [(1.0, 'power-off', 0), (6.4, 'deafen-multicast', 2), (0.4, 'power-on', 0),
         (0.1, 'crash', 0), (0.0, 'kill-database', 0), (0.5, 'kill-database', 1),
         (0.0, 'freeze', 1), (0.0, 'start', 0), (0.0, 'heal', 2), (1.6, 'thaw', 1)], 0, 0),
    'nobody stands for ever before voters who suspect another primary': (
        'five nodes, equal priorities',
        [(3.0039723511440646, 'stop', 0), (2.416421646167719, 'part', 2),
         (1.7596517606616187, 'part', 3)], 0, 4148416749),
    'a server that is started by hand during a step-down is stopped again': (
        'two nodes and a witness',
        [(0.12064778182477416, 'vip-hangs', 0), (0.08145430963319211, 'signal-fails', 0),
         (2.143458470867153, 'deafen', 0), (1.1412786613768016, 'signal-fails', 1)],
        0, 1247951015),
    'a running primary returns without asking synchronous standbys': (
        'three nodes, synchronous',
        [(1.0997057675543986, 'promote-by-hand', 1), (2.6410032174188154, 'crash-and-start', 0),
         (1.5897631476242489, 'crash-and-start', 1)], 0, 2927378790),
    'a synchronous standby that somebody promoted does not hold up the others': (
        'three nodes, synchronous',
        [(0.20737638892924481, 'promote-by-hand', 2), (1.0876149316659005, 'crash', 1),
         (2.412958278556915, 'power-off', 2)], 0, 764110953),
    'a database that somebody promoted and AHM stopped is not ranked by its timeline': (
        'three nodes, synchronous',
        [(3.0419882204575233, 'promote-by-hand', 1), (1.104087977258844, 'stop', 1),
         (0.72829800858138, 'hang-database', 0)], 0.1, 3316423036),
    'two databases that were frozen one after the other wait for an operator': (
        'two nodes without half votes',
        [(0.0, 'hang-database', 0), (0.5, 'commands-work', 0), (0.5, 'hang-database', 1)], 0, 0),
    'a half that cannot know who streams waits for an operator': (
        'four nodes, half votes, a trusted server',
        [(1.7536211603985705, 'cut-between', 2), (0.7780513061687154, 'cut-between', 3),
         (0.7841036577749061, 'cut', 0), (0.5201587466863101, 'commands-work', 1),
         (0.12232487993988943, 'promote-hangs', 1), (1.1052826413879844, 'promote-by-hand', 1)],
        0.3, 2610053253),
    'all judge who is too far behind by the same position of the primary': (
        'four nodes, one with priority 0',
        [(0.1715202910291188, 'stop-replication', 3), (1.3575982054788702, 'deafen', 1),
         (1.723373889707259, 'kill-database', 0)], 0, 3130433201),
    'a verdict that is not renewed any more holds up nobody': (
        'three nodes',
        [(0.16040642540760536, 'hang-database', 0), (0.6869150727619602, 'deafen-multicast', 0),
         (3.0508860338613615, 'hang-database', 1)], 0, 1852488228),
    'what a node that died had said long ago is no evidence': (
        'seven nodes, two witnesses',
        [(0.7526062542748029, 'cut', 0), (0.795855870030038, 'stop', 1)], 0.1, 447374715),
    'a candidate that finds the old primary answering is not elected any more': (
        'four nodes, one with priority 0',
        [(1.7029793316752322, 'signal-fails', 0), (1.8779468295771085, 'demote-by-hand', 0),
         (1.1345099244329728, 'fill-disk', 2), (0.16196799215070617, 'promote-hangs', 1),
         (1.0186370566326624, 'cut', 0)],
        0, 1078176192),
    'a synchronous standby whose daemon stopped it and left is started by an operator': (
        'three nodes, synchronous',
        [(1.0615108870496717, 'promote-hangs', 1), (1.107945825127884, 'cut', 0),
         (3.2620472123964253, 'stop', 1)], 0, 916448836),
    'a half that led on finds the record of the other half': (
        'two nodes, half votes, a trusted server, fencing',
        [(0.13597888319639995, 'vip-hangs', 0), (1.599365294056002, 'cut', 0),
         (1.1625244964914327, 'vip-hangs', 1), (0.8932044260696125, 'fill-disk', 1)],
        0.3, 2733885257),
    'a server that somebody starts while its daemon sleeps in a step-down': (
        'two nodes without half votes',
        [(0.12485359078120363, 'kill-database', 0), (1.2827281187285975, 'freeze', 0)],
        0.3, 139661646),
    'what a primary without a daemon promises beside a promoted one is not promised': (
        'three nodes, synchronous',
        [(0.15713007611821575, 'freeze', 0), (0.41396487581874397, 'ask-status', 0),
         (1.717368995946947, 'cut', 0), (0.5453995614736704, 'thaw-database', 0),
         (0.4812271220626422, 'reach-trusted', 0), (0.4724387283317546, 'freeze', 2)],
        0, 4218650124),
    'a stop that lied is found out only after the disk of the node works again': (
        'two nodes and a witness',
        [(0.7681552286209985, 'heal', 0), (0.9150201355945351, 'fill-disk', 0),
         (1.9414768707918186, 'fill-disk', 2), (0.9839444493258741, 'stop-lies', 0),
         (0.4789584421509897, 'hook-hangs', 0), (0.7178829151488211, 'hook-hangs', 2),
         (0.7440933373890976, 'mute', 0)], 0, 1117084789),
    'a primary that is a standby again before its step-down ends is not reported out': (
        'two nodes, half votes, a trusted server',
        [(0.8585816520092777, 'vip-hangs', 0), (1.4089338561051516, 'kill-database', 0),
         (2.5960895953492527, 'shutdown-cluster', 0), (3.216409248246319, 'announce-fails', 0),
         (2.162552291435738, 'announce-fails', 0)], 0, 3749270990),
}


@pytest.mark.parametrize('story', sorted(FOUND))
def test_what_the_search_once_found(story):
    found = attempt(*FOUND[story])
    assert found is None, '%s\n%s' % found
