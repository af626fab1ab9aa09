"""Why a standby does not stream, as the log of its server tells it."""

from ahmlib.database import start, streaming
from ahmlib.database.settings import DatabaseSettings

PANIC = ('PANIC:  could not open file "pg_wal/000000020000000000000004": No such file or directory')


def test_a_panic_is_told_rather_than_the_refusals_that_follow_it(tmp_path):
    settings = DatabaseSettings(node_name='n', work_dir=str(tmp_path))
    with open(start.log_path(settings), 'w') as log:
        log.write('LOG:  started streaming WAL from primary at 0/5000000 on timeline 2\n%s\n'
                  'FATAL:  the database system is in recovery mode\n' % PANIC)
    cause = streaming.causes(settings, 0)
    assert cause.said == [PANIC]
    assert cause.meanings == [streaming.TORN] and cause.is_final
