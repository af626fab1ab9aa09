"""Who starts the server of this node: AHM by pg_ctl, or the service manager that it runs under.

Where systemd has a unit for it and AHM starts it by pg_ctl, systemd takes it for stopped from then
on: `systemctl restart` does nothing, `pg_lsclusters` says down, and its log goes elsewhere.
"""

import os
import re
from typing import TYPE_CHECKING, Iterator, Optional, Sequence

from ahmlib.checking import lines
from ahmlib.checking.facts import Host
from ahmlib.checking.finding import ERROR, WARNING, Rule, Verdict, well

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: AHM's own unit, also of a second daemon on one host.
OWN_UNIT = re.compile(r'ahm[^/]*\.service$')
DEBIAN = re.compile(r'/etc/postgresql/([^/]+)/([^/]+)/?$')
COMMAND = '/usr/bin/sudo /usr/bin/systemctl %s %s'
STOP = '--job-mode=ignore-dependencies stop'


def service(config: 'Config', host: Host) -> Iterator[Verdict]:
    """Whoever owns the server has to be the one by whom AHM starts it."""
    unit, command = host.server_unit, config.db_start_command
    if unit is None or not host.has_systemd:
        return
    named = _named(command) if command else None
    if not command and not unit:
        yield well('db_start_command', 'the server runs in no unit, and AHM starts it by pg_ctl')
    elif not command:
        whose = 'AHM has started it by pg_ctl, so it runs in %s' if OWN_UNIT.match(unit) else \
            'it runs in the unit %s, and AHM would start it by pg_ctl'
        yield Verdict(WARNING, 'db_start_command', whose % unit, _fix(config, unit))
    elif named is not None and named != unit:
        yield Verdict(WARNING, 'db_start_command', 'it starts %s, and the server runs in %s' % (
            named, unit or 'no unit'), _fix(config, unit) if unit and not OWN_UNIT.match(unit)
                      else 'stop that server, and start it by systemctl start %s' % named)
    else:
        yield well('db_start_command', 'the server runs in %s' % (unit or 'no unit'))


def _named(command: object) -> Optional[str]:
    """The unit that a command starts by systemctl; None where it is another command."""
    assert isinstance(command, (list, tuple))
    names = [os.path.basename(word) for word in command]
    if 'systemctl' not in names or 'start' not in names:
        return None
    unit = str(command[-1])
    return unit if unit.endswith('.service') else unit + '.service'


def _fix(config: 'Config', unit: str) -> str:
    """The lines that let systemd start and stop it."""
    debian = DEBIAN.match(config.db_config_dir or '')
    if not OWN_UNIT.match(unit):
        name = unit[:-len('.service')]
    else:
        name = 'postgresql@%s-%s' % debian.groups() if debian else 'UNIT'
    start = 'db_start_command: %s' % (COMMAND % ('start', name))
    return '%s; db_stop_command: %s; and the lines of sudoers that allow them: see ahm.sudoers' % (
        lines.of_config(config, 'db_start_command', start), COMMAND % (STOP, name))


def allowed(config: 'Config', refused: Sequence[str]) -> Iterator[Verdict]:
    """sudo has to let AHM run what starts and stops the database, without a password."""
    for text in refused:
        name, _, rest = text.partition(': ')
        found, _, remedy = rest.rpartition(': ')
        yield Verdict(ERROR, name, found, lines.of_config(
            config, name, 'this command, and a line of sudoers that allows it as it stands: %s'
            % remedy))
    if not refused:
        yield well('db_start_command', 'sudo refuses none of the commands, or is in none of them')


RULES = (
    Rule('db-service', 'systemd would take a server that it did not start for stopped: systemctl '
         'restart does nothing to it, and its log goes elsewhere', ('host',), service),
    Rule('db-sudo', 'AHM would stop this database by signals, which its service manager takes for '
         'a crash, and could not start it again', ('db_commands',), allowed),
)
