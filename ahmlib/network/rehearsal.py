"""Whether a takeover would get through here, tried as far as that changes nothing.

What is needed on the bad day only is looked at on good days: the right to change addresses, the
interface, the programs, the hooks.  Nothing is raised, announced or fenced for it.  A program of
the operator's own is looked for, and no more: what it does nobody knows but him.
"""

import os
import shutil
import socket
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from ahmlib.network import advertisement, ping
from ahmlib.network.vip import announces_itself, arguments
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

if TYPE_CHECKING:
    from ahmlib.network.vip import VipSettings

#: Numbers of Linux capabilities (capabilities(7)).
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
#: The programs that are known to need one to do what the commands of the configuration want.
NEEDS = {'ip': (CAP_NET_ADMIN, 'CAP_NET_ADMIN'), 'ifconfig': (CAP_NET_ADMIN, 'CAP_NET_ADMIN'),
         'arping': (CAP_NET_RAW, 'CAP_NET_RAW')}
#: Without these nobody is promoted, or no client comes through, or the role is not given up.
NEEDED = ('if_up_cmd', 'if_down_cmd', 'pre_promotion_command', 'promotion_command')
#: The words before the name of an interface.
BEFORE_INTERFACE = ('dev', '-I')


def rehearse(vip: 'VipSettings', hooks: Mapping[str, Sequence[str]], limit: float,
             pings: bool) -> Dict[str, Any]:
    """Return {'ok', 'fails', 'lacks'}: why a takeover here would fail, and what it would lack.

    A sentence each.  vip: VipSettings.  hooks: {name: the command as a list} of those that are set.
    limit: seconds for all programs that are asked.  pings: whether ping is needed here at all.
    """
    found = _try_ping(vip, limit / 4) if pings else []
    if vip.virtual_ip:
        for name, command, directory in (
                ('if_up_cmd', vip.if_up_cmd, vip.if_cmd_path),
                ('if_down_cmd', vip.if_down_cmd, vip.if_cmd_path),
                ('arping_cmd', vip.arping_cmd, vip.arping_path)):
            if name == 'arping_cmd' and announces_itself(vip):
                why = advertisement.why_not(vip.virtual_ip)
                found += why and ['announcement of the virtual_IP: %s' % why] or []
            elif command:
                argv = arguments(command, directory, vip.virtual_ip)
                found += _try_command(name, argv, limit / 5)
    for name in sorted(hooks):
        found += _look_at(name, hooks[name])
    fails = [text for text in found if text.split(':')[0] in NEEDED]
    return {'ok': True, 'fails': fails, 'lacks': [text for text in found if text not in fails]}


def _try_ping(vip: 'VipSettings', limit: float) -> List[str]:
    """A takeover from a host that is lost waits for ping to say that nobody has the VIP."""
    why = ping.hears_itself(vip.virtual_ip or '', vip.ping_path, Deadline(limit))
    return why and ['ping: no failover of a lost host: %s' % why] or []


def _try_command(name: str, argv: Sequence[str], limit: float) -> List[str]:
    missing = _look_at(name, argv)
    if missing:
        return missing
    return _interfaces(name, argv) + (_ask_sudo(name, argv, limit) if _is_sudo(argv)
                                      else _rights(name, argv))


def refused_by_sudo(commands: Mapping[str, Sequence[str]], limit: float) -> List[str]:
    """A sentence for each of {name: command} that begins with sudo, and that sudo refuses.

    A program that is missing is not told here.
    """
    return [text for name, argv in sorted(commands.items())
            if _is_sudo(argv) and not _look_at(name, argv)
            for text in _ask_sudo(name, argv, limit / len(commands))]


def _is_sudo(argv: Sequence[str]) -> bool:
    return os.path.basename(argv[0]) == 'sudo'


def _look_at(name: str, argv: Sequence[str]) -> List[str]:
    """Whether its program is there, and may be run."""
    program = argv[0]
    path = program if '/' in program else shutil.which(program)
    if path is None or not os.path.exists(path):
        return ['%s: %s is not there: install it, or correct the path' % (name, program)]
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        return ['%s: %s may not be run by this user: see its mode and its owner' % (name, path)]
    return []


def _interfaces(name: str, argv: Sequence[str]) -> List[str]:
    # Asked of the kernel: /sys may show the interfaces of another network namespace.
    there = {interface for _, interface in socket.if_nameindex()}
    found = []
    for before, word in zip(argv, argv[1:]):
        if before in BEFORE_INTERFACE and word not in there:
            found.append('%s: this host has no interface %s: see "ip link"' % (name, word))
    return found


def _ask_sudo(name: str, argv: Sequence[str], limit: float) -> List[str]:
    """Ask sudo whether it would run this, without running it (sudo -l)."""
    outcome = programs.run([argv[0], '-n', '-l'] + list(argv[1:]), limit,
                           environment={'LC_ALL': 'C'})
    if outcome.ok:
        return []
    return ['%s: sudo does not let this user run "%s" without a password (%s): see sudoers(5)' % (
        name, ' '.join(argv[1:]), outcome.reason)]


def _rights(name: str, argv: Sequence[str]) -> List[str]:
    """Whether this user, or the program itself, has the capability that it needs."""
    number, called = NEEDS.get(os.path.basename(argv[0]), (None, ''))
    if number is None or _program_has(argv[0]) or _child_would_have(number):
        return []
    return ['%s: this user has not the right to run "%s" (%s): use sudo in the command, or give '
            'AHM that capability' % (name, ' '.join(argv), called)]


def _program_has(path: str) -> bool:
    """Whether the program brings rights of its own: set-user-ID, or capabilities on the file."""
    try:
        if os.stat(path).st_mode & 0o4000:
            return True
        return bool(os.getxattr(path, 'security.capability'))
    except OSError:
        return False


def _child_would_have(number: int) -> bool:
    """Whether a program that is started by this process would have this capability."""
    return bool((passed_on(os.getpid()) or 0) >> number & 1)


def passed_on(pid: int) -> Optional[int]:
    """The capabilities (bits) of a program that the process `pid` starts; None: not known."""
    sets, uid = {}, None
    try:
        with open('/proc/%d/status' % pid) as lines:
            for line in lines:
                key, _, value = line.partition(':')
                if key == 'Uid':
                    uid = int(value.split()[1])
                elif key.startswith('Cap'):
                    sets[key] = int(value, 16)
    except (OSError, ValueError, IndexError):
        return None
    return sets.get('CapEff') if uid == 0 else sets.get('CapAmb', 0)
