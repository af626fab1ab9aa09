"""Why a standby does not stream, as the log of its server tells it."""

import pytest

from ahmlib.database import start, streaming
from ahmlib.database.settings import DatabaseSettings

HBA = 'no pg_hba.conf entry for replication connection from host "10.0.0.11", user "repl", no ' \
    'encryption'
GONE = 'requested WAL segment 000000010000000000000003 has already been removed'
SLOT = 'replication slot "ahm_node_3" does not exist'
PANIC = ('PANIC:  could not open file "pg_wal/000000020000000000000004": No such file or directory')


def causes(tmp_path, text):
    """What the log of a server with this text tells."""
    settings = DatabaseSettings(node_name='n', work_dir=str(tmp_path))
    with open(start.log_path(settings), 'w') as log:
        log.write(text)
    return streaming.causes(settings, 0)


@pytest.mark.parametrize('prefix', ['', '2026-11-28 03:00:00.123 UTC [4711] ',
                                    '2026-11-28 03:00:00.123 UTC [4711] repl@[unknown] '])
@pytest.mark.parametrize('severity, refusal', [
    ('FATAL', HBA), ('ERROR', GONE), ('ERROR', SLOT),
    ('FATAL', 'password authentication failed for user "repl"')])
def test_whom_this_server_refuses_is_not_why_it_does_not_stream_itself(
        tmp_path, prefix, severity, refusal):
    """AHM's own connection, or a standby of this server, was refused, and read as the cause."""
    cause = causes(tmp_path, '%s%s:  %s\n' % (prefix, severity, refusal))
    assert not cause.meanings and not cause.said and not cause.is_final


@pytest.mark.parametrize('entry, meaning', [
    ('FATAL:  could not connect to the primary server: connection to server at "10.0.0.12", port '
     '5432 failed: FATAL:  ' + HBA, 'pg_hba.conf of the primary'),
    ('FATAL:  could not connect to the primary server: FATAL:  SSL is not supported\n\tFATAL:  '
     + HBA, 'pg_hba.conf of the primary'),
    ('FATAL:  could not receive data from WAL stream: ERROR:  ' + GONE, streaming.REMOVED),
    ('FATAL:  could not start WAL streaming: ERROR:  ' + SLOT, 'the replication slot'),
    ('FATAL:  database system identifier differs between the primary and standby',
     'the primary belongs to another database system')])
def test_what_the_primary_refuses_is_the_cause(tmp_path, entry, meaning):
    before = 'ERROR:  %s\nFATAL:  %s\n' % (GONE if GONE not in entry else SLOT, HBA)
    cause = causes(tmp_path, before + '2026-11-28 03:00:00 UTC [12] ' + entry + '\n')
    assert [found.startswith(meaning) for found in cause.meanings] == [True]
    assert cause.said == ['2026-11-28 03:00:00 UTC [12] ' + entry.replace('\n\t', ' ')]


def test_a_panic_is_told_rather_than_the_refusals_that_follow_it(tmp_path):
    cause = causes(
        tmp_path, 'LOG:  started streaming WAL from primary at 0/5000000 on timeline 2\n%s\n'
                  'FATAL:  the database system is in recovery mode\n' % PANIC)
    assert cause.said == [PANIC]
    assert cause.meanings == [streaming.TORN] and cause.is_final
