"""The quick starts of docs/, typed from the first to the last line on three hosts with systemd.

Debian's is typed with the PostgreSQL that is installed here, by its package and postgresql-common.
That of Enterprise Linux is not: its packages cannot be installed on this machine.  There the hosts
are only laid out as PGDG's packages would do it (unit, programs, data directory, the home of the
user postgres), `dnf` is a stand-in that does so, and what it installs as AHM are the files of the
.deb, which lie where those of the RPM do.  So it is shown that the commands fit that layout, and
not that the packages of Enterprise Linux make it.
"""

import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from ahmlib.config.schema import BY_NAME
from ahmlib.core.consensus.timing import Timing
from release import tarball
from tests.lab import packages, walk
from tests.lab.systemd_host import Room

ADDRESSES = {'db1': '192.0.2.11', 'db2': '192.0.2.12', 'db3': '192.0.2.13'}
#: What the first command of the quick start would fetch.
LAYER = ('iproute2', 'iputils-arping', 'iputils-ping', 'logrotate', 'sudo', 'python3-docopt',
         'python3-msgpack', 'python3-psycopg2')
VERSION = '15'
STATES = "ahm_cluster_status | awk '/^db/ {print $1, $2, $NF}' | sort | xargs"
LIMIT = 100
INTERVAL = BY_NAME['beacon_message_interval_seconds'].default
HOLD = Timing(INTERVAL, BY_NAME['beacon_message_retry_count'].default).hold

WRITER = '''
import sys, time, psycopg2
connection, number = None, 0
while True:
    number += 1
    try:
        if connection is None:
            connection = psycopg2.connect(
                host='192.0.2.100', user='ahm', dbname='postgres', password='change-me-1',
                connect_timeout=1, tcp_user_timeout=1500, options='-c statement_timeout=1000')
            connection.autocommit = True
        connection.cursor().execute('INSERT INTO rows VALUES (%s)', (number,))
        print(time.monotonic(), number, flush=True)
    except psycopg2.Error:
        connection = None
    time.sleep(0.02)
'''

#: What `dnf install` of the quick start for Enterprise Linux does there.  See above.
DNF = r'''#!/bin/bash
set -e
[ "$*" = 'install -y postgresql15-server iproute iputils sudo ./ahm-1.0-1.x86_64.rpm' ]
mkdir -p /usr/pgsql-15 /var/lib/pgsql/15
ln -s /usr/lib/postgresql/15/bin /usr/pgsql-15/bin
ln -sf /usr/bin/arping /usr/sbin/arping
chown -R postgres:postgres /var/lib/pgsql
chmod 700 /var/lib/pgsql /var/lib/pgsql/15
sed -i 's,:/var/lib/postgresql:,:/var/lib/pgsql:,' /etc/passwd
mv /etc/postgresql /etc/postgresql.not-here
cat >/usr/lib/postgresql/15/bin/postgresql-15-setup <<'SETUP'
#!/bin/sh
[ "$1" = initdb ] || exit 1
exec runuser -u postgres -- /usr/pgsql-15/bin/initdb -D /var/lib/pgsql/15/data \
    --auth-local=peer --auth-host=scram-sha-256 >/dev/null
SETUP
chmod 755 /usr/lib/postgresql/15/bin/postgresql-15-setup
cat >/usr/lib/systemd/system/postgresql-15.service <<'UNIT'
[Unit]
Description=PostgreSQL 15 database server
After=syslog.target
After=network-online.target
[Service]
Type=notify
User=postgres
Group=postgres
Environment=PGDATA=/var/lib/pgsql/15/data/
OOMScoreAdjust=-1000
Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj
Environment=PG_OOM_ADJUST_VALUE=0
ExecStart=/usr/pgsql-15/bin/postgres -D ${PGDATA}
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
KillSignal=SIGINT
TimeoutSec=0
[Install]
WantedBy=multi-user.target
UNIT
dpkg -i /mnt/ahm_1.0_all.deb
systemctl daemon-reload
'''


def document(name):
    """The text of one of docs/."""
    with open(os.path.join(tarball.ROOT, 'docs', name), encoding='utf-8') as file:
        return file.read()


class Site:
    """The hosts of a quick start: what is asked of them here."""

    def __init__(self, room, unit):
        self.room, self.hosts, self.unit = room, room.hosts, unit

    def reads(self, states, at='db3', limit=LIMIT):
        """Wait until the status shows these states, as {'db1': 'PRIMARY LEADER', ...}."""
        wanted = ' '.join('%s %s' % pair for pair in sorted(states.items()))
        self.hosts[at].wait_until(STATES, wanted, limit)

    def leads(self, leader, at='db3'):
        """Wait until this node leads over the primary, and the others are well behind it."""
        self.reads({name: 'PRIMARY LEADER' if name == leader else 'STANDBY STANDBY'
                    for name in self.hosts}, at)

    def leader(self, at='db3'):
        """The name of the node that leads."""
        return re.search(r'^Leader Node: (.*)$', self.hosts[at].says('ahm_cluster_status'),
                         re.MULTILINE).group(1)

    def is_owned_by_systemd(self):
        """Whether systemd has every server, as its own main process."""
        for host in self.hosts.values():
            host.wait_until('systemctl is-active %s' % self.unit, 'active')
            pid = host.says('systemctl show -p MainPID --value %s' % self.unit).strip()
            assert host.says('ps -o comm= -p %s' % pid).strip() == 'postgres', pid

    def is_level(self, leader):
        """Wait until the standbys have all that this primary has."""
        self.hosts[leader].wait_until(
            'cd /; runuser -u postgres -- psql -Atqc "SELECT count(*) FROM pg_stat_replication '
            'WHERE flush_lsn = pg_current_wal_lsn()"', '2')

    def sql(self, host, *statements):
        """Run statements as the superuser; what they print."""
        words = ' '.join('-c "%s"' % each for each in statements)
        return self.hosts[host].says('cd /; runuser -u postgres -- psql -Atq %s' % words).strip()

    def power_on(self, *names):
        """Boot these hosts, at once."""
        found = {}
        threads = [threading.Thread(target=lambda each=each: found.update(
            {each: self.hosts[each].boot()})) for each in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(found.values()), found


class Client:
    """Writes rows through the VIP, from beside a host; a context manager."""

    def __init__(self, site, beside, path):
        self.path = str(path)
        with open(self.path, 'w') as file:
            self._process = subprocess.Popen(
                ['ip', 'netns', 'exec', site.room.switch.namespace(beside), sys.executable, '-c',
                 WRITER], stdout=file)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.wait()

    def rows(self):
        """[(when it was acknowledged, its number)] so far."""
        with open(self.path) as file:
            return [(float(at), int(number)) for at, number in (
                line.split() for line in file.read().splitlines(True) if line.endswith('\n'))]

    def wait_for_more(self, host, seconds=LIMIT):
        """Wait until rows were acknowledged from now on."""
        before = len(self.rows())
        host.wait_until('[ $(wc -l </mnt/%s) -gt %d ] && echo more' % (
            os.path.basename(self.path), before + 5), 'more', seconds)

    def outage(self):
        """The longest time without an acknowledgement, in seconds."""
        times = [at for at, _ in self.rows()]
        return max(after - before for before, after in zip(times, times[1:]))


def made(tmp_path_factory, unit):
    """(the Site of three new hosts, the directory that they have as /mnt)."""
    if not os.path.exists('/usr/lib/postgresql/%s/bin/postgres' % VERSION):
        pytest.skip('NO QUICK START: no PostgreSQL %s of Debian here' % VERSION)
    if not shutil.which('dpkg-deb'):
        pytest.skip('NO QUICK START: no .deb can be made here')
    try:
        layer = packages.layer(*LAYER)
    except OSError as error:
        pytest.skip('NO QUICK START: %s' % error)
    given, disks = (str(tmp_path_factory.mktemp(name)) for name in ('given', 'disks'))
    subprocess.check_call([sys.executable, '-m', 'release.deb', given], cwd=tarball.ROOT,
                          stdout=subprocess.DEVNULL)
    room = Room(disks, given, ADDRESSES, layer)
    for host in room.hosts.values():
        host.says('rm -rf /var/lib/apt/lists/*')    # no newer versions, which it could not fetch
    return Site(room, unit), given


# -- Debian -----------------------------------------------------------------------------------

BY_HAND = '\n## 4. '


@pytest.fixture(scope='module')
def debian(tmp_path_factory):
    """The Site after all but the last chapter of the quick start, and a table for a Client."""
    site, given = made(tmp_path_factory, 'postgresql@15-main')
    with site.room:
        text = document('quick-start-debian.md')
        said = walk.walk(site.hosts, text[:text.index(BY_HAND)], '/mnt')
        # Who has done as it says is warned of nothing that it could have said, too.
        assert '\n0 errors, 0 warnings, 0 not known, ' in said, said
        site.leads('db1')
        assert 'Virtual IP : 192.0.2.100' in site.hosts['db1'].says('ahm_cluster_status')
        site.sql('db1', 'CREATE TABLE rows (number int)', 'GRANT INSERT ON rows TO ahm')
        site.given = given
        yield site


def test_debian_by_hand_and_a_reboot_of_the_primarys_host_hands_over(debian):
    text = document('quick-start-debian.md')
    before = debian.hosts['db3'].says('systemctl show -p MainPID --value postgresql@15-main')
    with Client(debian, 'db3', os.path.join(debian.given, 'rows')) as client:
        client.wait_for_more(debian.hosts['db3'])
        walk.walk(debian.hosts, text[text.index(BY_HAND):], '/mnt')
        assert before != debian.hosts['db3'].says(
            'systemctl show -p MainPID --value postgresql@15-main')
        leader = debian.leader()
        assert leader != 'db2'          # it was rebooted, having got the role from db1
        debian.leads(leader)            # and its database is back, without anybody
        client.wait_for_more(debian.hosts['db3'])
        # Two switchovers; a failover could not even begin that early.
        assert client.outage() < HOLD - INTERVAL, client.outage()
        numbers = {number for _, number in client.rows()}
    found = debian.sql(leader, 'SELECT number FROM rows')
    assert numbers <= set(map(int, found.split()))
    debian.is_owned_by_systemd()
    journal = debian.hosts['db2'].says('journalctl -q -o cat -u ahm-handover -u ahm')
    assert 'db2 hands over to %s' % leader in journal
    assert 'has stepped down: handed over to %s' % leader in journal, journal[-6000:]


def test_debian_systemctl_restart_postgresql_restarts_what_ahm_started(debian):
    host = debian.hosts[next(name for name in debian.hosts if name != debian.leader())]
    unit = 'systemctl show -p MainPID --value postgresql@15-main'
    leader = debian.leader()
    host.says('kill -INT %s' % host.says(unit).strip())
    host.wait_until('systemctl is-active postgresql@15-main | grep -cx active', '0')
    host.wait_until('ahm_attach_node --wait >/dev/null 2>&1; '
                    'systemctl is-active postgresql@15-main', 'active')     # AHM has started it
    debian.leads(leader)
    for command in ('systemctl restart postgresql', 'pg_ctlcluster 15 main restart'):
        before = host.says(unit).strip()
        host.says(command)
        after = host.says(unit).strip()
        assert before != after != '0', command
        assert re.search(r'^15 +main +5432 +online,recovery', host.says('pg_lsclusters'),
                         re.MULTILINE)
    debian.leads(leader)
    debian.is_owned_by_systemd()


def test_debian_a_lost_host_comes_back_as_a_standby_without_anybody(debian):
    lost = debian.leader()
    at = next(name for name in debian.hosts if name != lost)
    debian.is_level(lost)
    debian.hosts[lost].power_off()
    debian.hosts[at].wait_until(
        "ahm_cluster_status | sed -n 's/^Leader Node: //p' | grep -v %s" % lost, at, LIMIT)
    debian.power_on(lost)
    debian.leads(at, at)
    debian.is_owned_by_systemd()


def test_debian_after_a_power_cut_of_all_the_same_primary_leads_without_anybody(debian):
    leader = debian.leader()
    promotions = debian.sql(leader, 'SELECT timeline_id FROM pg_control_checkpoint()')
    for host in debian.hosts.values():
        host.power_off()
    debian.power_on(*debian.hosts)
    debian.leads(leader)
    assert promotions == debian.sql(leader, 'SELECT timeline_id FROM pg_control_checkpoint()')
    debian.is_owned_by_systemd()


def test_debian_a_former_primary_is_not_started_where_another_one_was_promoted(debian):
    stale = debian.leader()
    new, third = (name for name in debian.hosts if name != stale)
    debian.is_level(stale)
    debian.hosts[stale].power_off()
    debian.hosts[third].wait_until(
        "ahm_cluster_status | sed -n 's/^Leader Node: //p' | grep -v %s" % stale, new, LIMIT)
    debian.hosts[third].wait_until(
        "ahm_cluster_status --json | grep -c '\"leader_holds_vip\": true'", '1')
    for name in (new, third):
        debian.hosts[name].power_off()
    debian.power_on(stale, third)       # a majority, without the one that is on record
    debian.hosts[stale].wait_until(
        "journalctl -q -b -o cat -u ahm | grep -o 'the primary on record is that of %s' | tail -1"
        % new, 'the primary on record is that of %s' % new)
    assert debian.hosts[stale].run('systemctl is-active postgresql@15-main')[1].strip() \
        == 'inactive'
    debian.power_on(new)
    debian.hosts[third].wait_until(STATES + " | grep -o '%s [A-Z]* [A-Z]*'" % new,
                                   '%s PRIMARY LEADER' % new, LIMIT)
    # It may have WAL that nobody had received, and has to be rewound then; it is no primary.
    debian.hosts[stale].wait_until(
        "cd /; runuser -u postgres -- psql -Atqc 'SELECT pg_is_in_recovery()'", 't')


# -- Enterprise Linux -------------------------------------------------------------------------


def test_enterprise_linux_from_first_to_last_line_and_a_power_cut(tmp_path_factory):
    site, given = made(tmp_path_factory, 'postgresql-15')
    with site.room:
        with open(os.path.join(given, 'dnf'), 'w') as file:
            file.write(DNF)
        for host in site.hosts.values():
            host.says('install -m 0755 /mnt/dnf /usr/local/bin/dnf')
        walk.walk(site.hosts, document('quick-start-el.md'), '/mnt')
        leader = site.leader()
        assert leader != 'db1'          # it was rebooted in the end, as the primary's host
        site.leads(leader)
        site.is_owned_by_systemd()
        for host in site.hosts.values():
            host.power_off()
        site.power_on(*site.hosts)
        site.leads(leader)
        site.is_owned_by_systemd()
