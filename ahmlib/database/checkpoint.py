"""Ordering a checkpoint, so that the shutdown that follows has little left to write."""
from typing import NamedTuple

from ahmlib.database import conninfo
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.settings import DatabaseSettings


class Checkpointed(NamedTuple):
    """Whether there was a checkpoint, and why not."""

    ok: bool
    reason: str = ''


def checkpoint(settings: DatabaseSettings, limit: float) -> Checkpointed:
    """CHECKPOINT on the server beside this node, within `limit` seconds.

    db_user needs to be a superuser, or a member of pg_checkpoint (PostgreSQL 15 and later).
    """
    try:
        with Connection(conninfo.local_conn_string(settings), limit) as connection:
            connection.query('CHECKPOINT')
    except (ConnectionFailed, QueryFailed) as error:
        return Checkpointed(False, str(error))
    return Checkpointed(True)
