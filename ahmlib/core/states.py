"""The manual's two tables (19.6.1): the states of a node and of its database.

Names and numbers are public: status output, JSON, logs and beacons use them.
"""

from enum import IntEnum


class NodeState(IntEnum):
    """What a node is in the cluster."""
    DEAD = 0
    LOADING = 1
    INITIALIZING = 2
    PARTICIPATE_IN_ELECTION = 3
    STAND_FOR_LEADER = 4
    LEADER = 5
    STANDBY = 6
    LOST = 7
    WAITING_FOR_LEADER_FORMATION = 8
    TAKING_OVER = 9
    IN_RESOURCE_LIMITATION = 10
    SHUTDOWN = 11


class DatabaseState(IntEnum):
    """What is known of a node's database."""
    UNKNOWN = 0
    PRIMARY = 1
    STANDBY = 2
    FAILED = 3
    QUARANTINED = 4
    NOT_CONFIGURED = 5


#: A row in one of these states *leads*: taking it is an acknowledgement, and gives a promise.
LEADING = frozenset((NodeState.LEADER, NodeState.TAKING_OVER))


class Role(IntEnum):
    """What a node is in the contest for the lead."""
    FOLLOWS = 0     # a leader, or nobody
    STANDS = 1      # is a candidate
    ELECTED = 2     # has the votes, and takes over
    LEADS = 3
    YIELDS = 4      # gives the lead up, under its lease
    RETREATS = 5    # gives up what a leader has, without a lease
    GONE = 6        # has said goodbye
