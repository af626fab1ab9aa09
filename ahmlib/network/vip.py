"""The virtual IP on this host: is it here, raise it, drop it, announce it, and does it answer?

All that changes something is done by the operator's commands (`ip addr add ...`), and believed
only when seen: an exit status of 0 is not an address on an interface.  Whether the address is
here is read from the kernel's own tables, or asked of if_check_cmd where one is set.  An address
that is here and that the kernel does not use (duplicate address detection refused it, or has not
ended; its interface is down) is told apart: it is raised only once it is usable.

"Nobody answers for the VIP" is evidence on which a takeover rests: see who_answers and ping.
"""
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.network import addresses, advertisement, arping, neighbours, ping, who_answers
from ahmlib.network.side_by_side import ENGLISH, await_all
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

Result = Dict[str, Any]          # what a function returns to the daemon

PLACEHOLDER = '$_IP_$'
POLL_SECONDS = 0.02
REPEAT_SECONDS = 0.1            # between two runs of if_down_cmd
CHECK_SECONDS = 5.0             # if_check_cmd, at most
# For duplicate address detection: by default the kernel waits for up to 1 s, asks, and listens for
# 1 s, and its own work may come late.
DETECTION_SECONDS = 3.0

# What a check says that could not look: its exit status of 1 is then no answer.  `grep -q`, the
# end of many such commands, exits with 1 as well where what came before it could not run.
COULD_NOT_LOOK = re.compile(r'(?:: |command )not found\s*$|No such (?:file|device)'
                            r'|ermission denied|not permitted|annot (?:execute|open|find|send|run)'
                            r'|does not exist|yntax error|^sudo: |^usage: ',
                            re.MULTILINE | re.IGNORECASE)

Command = Optional[List[str]]


class VipSettings(NamedTuple):
    """What is known of the virtual IP.  Commands are split already; None or []: not set."""

    virtual_ip: str = ''
    if_cmd_path: str = '/bin'       # where a program of an if_* command without '/' is
    if_up_cmd: Command = None
    if_down_cmd: Command = None
    arping_path: str = '/usr/sbin'  # likewise, for arping_cmd
    arping_cmd: Command = None
    ping_path: str = '/bin'
    if_check_cmd: Command = None    # exits with 0: the address is here, 1: it is not


def check_vip(settings: VipSettings, limit: float = CHECK_SECONDS) -> Result:
    """Is the address on an interface of this host now, and does the kernel use it?

    Returns {'ok', 'reason', 'here', 'usable'}: `here` True or False, None (and ok False) where it
    cannot be told; `usable` False only for an address that is here and of no use, as `reason`
    says.  With here and usable, `reason` is what people should know of it.
    """
    if settings.if_check_cmd:
        return _check_command(settings, limit)
    try:
        here = addresses.is_configured(settings.virtual_ip)
    except (OSError, ValueError) as error:
        return _checked(False, 'cannot tell whether %s is on an interface: %s'
                        % (settings.virtual_ip, error), None)
    return _look_closer(settings, here)


def _check_command(settings: VipSettings, limit: float) -> Result:
    outcome = _run(settings, settings.if_check_cmd, settings.if_cmd_path, limit)
    if outcome.code == 1 and not outcome.timed_out and COULD_NOT_LOOK.search(outcome.output):
        return _checked(False, 'if_check_cmd: %s; so it could not look, and its exit status 1 (not '
                        'here) is not believed: mend it' % outcome.reason, None)
    if outcome.code in (0, 1) and not outcome.timed_out:
        return _look_closer(settings, outcome.code == 0)
    return _checked(False, 'if_check_cmd: %s; expected exit status 0 (here) or 1 (not here)'
                    % outcome.reason, None)


def _look_closer(settings: VipSettings, here: bool) -> Result:
    """The result of a check; where the address is here, with what the kernel's flags say."""
    try:
        found = addresses.places(settings.virtual_ip) if here else []
    except (OSError, ValueError):
        found = []          # its flags cannot be read here; that it is here stands
    why_not = addresses.unusable(found)
    return _checked(True, why_not or addresses.remark(found), here, not why_not)


def raise_vip(settings: VipSettings, limit: float, announce: bool = True) -> Result:
    """Put the address on this host, see that it is there and usable, and announce it once.

    Nothing is done where it is here already and usable.  One that duplicate address detection
    refused never becomes usable by itself: it is taken off and put on again while there is time,
    and is off where that was in vain.  Returns {'ok', 'reason', 'here'}, and `remark` where people
    should know something of a success; an announcement that fails changes nothing else.
    `announce=False` leaves it out: arping may take a second, during which the caller still waits.
    """
    deadline = Deadline(limit)
    before = check_vip(settings, limit)
    if before['here'] and before['usable']:
        return _raised('the address is here already', before['reason'])
    if before['here'] and _await_usable(settings, deadline)['usable']:
        return _raised('the address is here already', '')
    after, reason = _put_on(settings, deadline, bool(before['here']))
    if not after['here'] or not after['usable']:
        return _result(False, reason, after['here'])
    parts = [reason, after['reason']]
    if announce:
        parts.append(announce_vip(settings, deadline.remaining())['reason']
                     if settings.arping_cmd or announces_itself(settings) else '')
    told = '; '.join(part for part in parts if part)
    return _raised(told, told)


def _raised(reason: str, remark: str) -> Result:
    return dict(_result(True, reason, True), **({'remark': remark} if remark else {}))


def _put_on(settings: VipSettings, deadline: Deadline, is_here: bool) -> Tuple[Result, str]:
    """if_up_cmd until the address is usable: (the last check, why not or what else to tell)."""
    while True:
        if is_here:
            lowered = lower_vip(settings, deadline.remaining() / 2)
            if not lowered['ok']:
                return (check_vip(settings, max(deadline.remaining(), 0.05)),
                        'the address is here and of no use, and: ' + lowered['reason'])
        outcome = _run(settings, settings.if_up_cmd, settings.if_cmd_path, deadline.remaining())
        after = _await(settings, deadline, outcome.ok)
        if not after['here']:
            why = outcome.reason or after['reason'] or 'the address did not appear'
            return after, 'if_up_cmd: ' + why
        after = _await_usable(settings, deadline)
        if after['usable']:
            return after, outcome.reason and 'the address is here, though if_up_cmd: ' \
                + outcome.reason
        if addresses.REFUSED not in after['reason'] \
                or deadline.remaining() < 2 * DETECTION_SECONDS:
            return _give_up(settings, after)
        is_here = True


def _give_up(settings: VipSettings, after: Result) -> Tuple[Result, str]:
    """Leave no address behind that was refused: the kernel would never try it again."""
    reason = 'the address is here and of no use: ' + after['reason']
    if addresses.REFUSED not in after['reason']:
        return after, reason
    lowered = lower_vip(settings, DETECTION_SECONDS / 2)
    return dict(after, here=lowered['here'], usable=lowered['here'] is False), reason


def _await_usable(settings: VipSettings, deadline: Deadline) -> Result:
    """Check until the address is usable, or duplicate address detection has had its time."""
    patience = Deadline(min(DETECTION_SECONDS, deadline.remaining()))
    while True:
        found = check_vip(settings, max(deadline.remaining(), 0.05))
        if found['usable'] or addresses.UNDECIDED not in found['reason'] or patience.is_over():
            return found
        patience.sleep(POLL_SECONDS)


def lower_vip(settings: VipSettings, limit: float) -> Result:
    """Take the address off this host: if_down_cmd again and again until it is gone.

    Nothing is done where it is not here.  Where it cannot be told, the command runs all the
    same, but ok is only what was seen.  Returns {'ok', 'reason', 'here'}.
    """
    deadline = Deadline(limit)
    found = check_vip(settings, limit)
    if found['here'] is False:
        return _result(True, 'the address was not here', False)
    while True:
        # A command that hangs must leave time for another try.
        outcome = _run(settings, settings.if_down_cmd, settings.if_cmd_path,
                       max(deadline.remaining() / 2, 0.05))
        found = check_vip(settings, max(deadline.remaining(), 0.05))
        if found['here'] is False:
            return _result(True, '', False)
        if deadline.is_over() or not outcome.started:
            why = outcome.reason or found['reason'] or 'the address is still here'
            return _result(False, 'if_down_cmd: ' + why, found['here'])
        deadline.sleep(REPEAT_SECONDS)


def announce_vip(settings: VipSettings, limit: float) -> Result:
    """Run arping_cmd (gratuitous ARP).  Returns {'ok', 'reason', 'here'}; ok where none is set.

    It counts by what arping says it sent.  An IPv6 address, which no arping can announce, is
    announced from here.  `here` is None: nothing was looked at.
    """
    if announces_itself(settings):
        trouble = advertisement.announce(settings.virtual_ip)
        return _result(not trouble, trouble, None)
    if not settings.arping_cmd:
        return _result(True, 'no arping_cmd is set', None)
    outcome = _run(settings, settings.arping_cmd, settings.arping_path, limit)
    trouble = arping.announcement_trouble(outcome) or _no_carrier(settings)
    return _result(not trouble, trouble and 'arping_cmd: ' + trouble, None)


def announces_itself(settings: VipSettings) -> bool:
    """Whether AHM sends the announcement: of an IPv6 address, unless a program for it is set."""
    return ':' in (settings.virtual_ip or '') and not (
        settings.arping_cmd and arping.names_none(settings.arping_cmd))


def _no_carrier(settings: VipSettings) -> str:
    """Why what arping sent has left no wire; '' where nothing speaks against it."""
    found = arping.program(settings.arping_cmd, settings.arping_path)
    link = found and found.interface and neighbours.find_link(settings.virtual_ip,
                                                              found.interface)
    if not link or link.has_carrier:
        return ''
    return '%s has no carrier, so nobody has heard it' % link.name


def ping_vip(settings: VipSettings, limit: float, suspect: Optional[str] = None) -> Result:
    """Does anybody answer for the address?  Silence shows after about a second.

    Returns {'ok', 'reason', 'answers', 'by', 'of_suspect', 'here'}: `answers` is True or False,
    and None (ok False) where it is not known: ping could not be run, did not say that it sent
    anything, had not ended after `limit` seconds (a busy host may not have sent anything by then),
    or its silence is no proof.  `by` is the hardware address that answers, '' where it is not
    known; `of_suspect` True only where that is demonstrably the host of the address `suspect`.
    `here` is None.
    """
    return who_answers.ask(settings, limit, suspect)


def try_ping(settings: VipSettings, limit: float) -> Result:
    """Whether ping works here at all: it is asked for this host itself.

    Returns {'ok', 'reason'}.  While it is not ok, ping_vip never reports silence.
    """
    reason = ping.hears_itself(settings.virtual_ip or '', settings.ping_path, Deadline(limit))
    return {'ok': not reason, 'reason': reason}


def ping_any(hosts: Sequence[str], ping_path: str, limit: float) -> Result:
    """Does one of the addresses `hosts` answer?  All are pinged at once, for `limit` seconds.

    Returns {'ok', 'reason', 'answered'}: ok is True when one answers, and `answered` is its
    address; else `reason` says what became of each.
    """
    running = {host: ping.start(host, ping_path) for host in hosts}

    def answered() -> Optional[str]:
        return next((host for host in hosts if running[host].has_ended
                     and ping.heard(running[host], host).answers), None)
    try:
        await_all(list(running.values()), Deadline(limit), lambda: answered() is not None)
        found = answered()
        reasons = {host: ping.heard(running[host], host) for host in hosts}
    finally:
        for each in running.values():
            each.kill()
    if found is not None:
        return {'ok': True, 'reason': '', 'answered': found}
    told = ', '.join('%s: %s' % (host, reasons[host].reason or 'silent') for host in hosts)
    return {'ok': False, 'reason': told or 'no address to ping', 'answered': None}


def _await(settings: VipSettings, deadline: Deadline, is_patient: bool) -> Result:
    """Check until the address is here; only once where the command failed."""
    while True:
        found = check_vip(settings, max(deadline.remaining(), 0.05))
        if found['here'] or not is_patient or deadline.is_over():
            return found
        deadline.sleep(POLL_SECONDS)


def _run(settings: VipSettings, command: Command, directory: str,
         limit: float) -> programs.Outcome:
    return programs.run(arguments(command, directory, settings.virtual_ip), limit,
                        environment=ENGLISH)


def arguments(command: Command, directory: str, address: str) -> List[str]:
    """Return the argument vector: the address in place of $_IP_$, the program with its path."""
    argv = [word.replace(PLACEHOLDER, address) for word in command or []]
    if argv and '/' not in argv[0]:
        argv[0] = os.path.join(directory, argv[0])
    return argv


def _checked(ok: bool, reason: str, here: Optional[bool], usable: bool = True) -> Result:
    return dict(_result(ok, reason, here), usable=usable)


def _result(ok: bool, reason: str, here: Optional[bool]) -> Result:
    return {'ok': ok, 'reason': reason or '', 'here': here}
