"""Ordering a checkpoint, so that the shutdown that follows has little left to write."""
from ahmlib.database import conninfo
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed


def checkpoint(settings, limit):
    """CHECKPOINT on the server beside this node, within `limit` seconds: {'ok', 'reason'}.

    db_user needs to be a superuser, or a member of pg_checkpoint (PostgreSQL 15 and later).
    """
    try:
        with Connection(conninfo.local_conn_string(settings), limit) as connection:
            connection.query('CHECKPOINT')
    except (ConnectionFailed, QueryFailed) as error:
        return {'ok': False, 'reason': str(error)}
    return {'ok': True, 'reason': ''}
