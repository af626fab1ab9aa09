"""The virtual IP on this host: is it here, raise it, drop it, announce it, and does it answer?

All that changes something is done by the operator's commands (`ip addr add ...`), and believed
only when seen: an exit status of 0 is not an address on an interface.  Whether the address is
here is read from the kernel's own tables, or asked of if_check_cmd where one is set.

"Nobody answers for the VIP" is evidence on which a takeover rests, so here silence is what a
ping that *ran* heard; a ping that could not be run is an error, and never counts as silence.
"""
import os
from typing import List, NamedTuple, Optional

from ahmlib.database import programs
from ahmlib.database.deadline import Deadline

PLACEHOLDER = '$_IP_$'
POLL_SECONDS = 0.02
REPEAT_SECONDS = 0.1            # between two runs of if_down_cmd
CHECK_SECONDS = 5.0             # if_check_cmd, at most

# ping's own exit statuses; everything else is trouble of its own (no route, no right).
PING_ANSWERED, PING_SILENT = 0, 1

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


def check_vip(settings, limit=CHECK_SECONDS):
    """Is the address on an interface of this host now?

    Returns {'ok', 'reason', 'here'}: `here` True or False, None (and ok False) where it cannot
    be told.
    """
    if not settings.if_check_cmd:
        return _check_kernel(settings.virtual_ip)
    outcome = _run(settings, settings.if_check_cmd, settings.if_cmd_path, limit)
    if outcome.code in (0, 1) and not outcome.timed_out:
        return _result(True, '', outcome.code == 0)
    return _result(False, 'if_check_cmd: %s; expected exit status 0 (here) or 1 (not here)'
                   % outcome.reason, None)


def raise_vip(settings, limit, announce=True):
    """Put the address on this host, see that it is there, and announce it once.

    Nothing is done where it is here already.  Returns {'ok', 'reason', 'here'}; an announcement
    that fails is told in `reason` and changes nothing else.  `announce=False` leaves it out:
    arping may take a second, during which the caller still waits for this result.
    """
    deadline = Deadline(limit)
    before = check_vip(settings, limit)
    if before['here']:
        return _result(True, 'the address is here already', True)
    outcome = _run(settings, settings.if_up_cmd, settings.if_cmd_path, deadline.remaining())
    after = _await(settings, deadline, outcome.ok)
    if not after['here']:
        why = outcome.reason or after['reason'] or 'the address did not appear'
        return _result(False, 'if_up_cmd: ' + why, after['here'])
    reason = outcome.reason and 'the address is here, though if_up_cmd: ' + outcome.reason
    if announce:
        announced = announce_vip(settings, deadline.remaining())
        if not announced['ok']:
            reason = '; '.join(part for part in (reason, announced['reason']) if part)
    return _result(True, reason, True)


def lower_vip(settings, limit):
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


def announce_vip(settings, limit):
    """Run arping_cmd (gratuitous ARP).  Returns {'ok', 'reason', 'here'}; ok where none is set.

    `here` is None: nothing was looked at.
    """
    if not settings.arping_cmd:
        return _result(True, 'no arping_cmd is set', None)
    outcome = _run(settings, settings.arping_cmd, settings.arping_path, limit)
    # arping -w ends with 1 where nobody answers, which is as it should be for one's own address.
    if outcome.ok or outcome.code == 1:
        return _result(True, '', None)
    return _result(False, 'arping_cmd: ' + outcome.reason, None)


def ping_vip(settings, limit, suspect=None):
    """Does anybody answer for the address?  No answer to ping within its own second is silence.

    Returns {'ok', 'reason', 'answers', 'here'}: `answers` is True or False, and None (ok False)
    where ping could not be run, could not send, or had not ended after `limit` seconds: a busy host
    may not even have sent anything by then.  `here` is None.
    """
    outcome = programs.run(_ping(settings.virtual_ip, settings.ping_path), limit)
    result = _ping_result(outcome)
    return dict(result, here=None)


def ping_any(addresses, ping_path, limit):
    """Does one of `addresses` answer?  All are pinged at once, for at most `limit` seconds.

    Returns {'ok', 'reason', 'answered'}: ok is True when one answers, and `answered` is its
    address; else `reason` says what became of each.
    """
    deadline = Deadline(limit)
    children, reasons = {}, {}
    for address in addresses:
        try:
            children[address] = programs.start(_ping(address, ping_path))
        except OSError as error:
            reasons[address] = 'cannot run ping: %s' % error.strerror
    try:
        answered = _first_answer(children, reasons, deadline)
    finally:
        for child in children.values():
            programs.kill_group(child)
    if answered is not None:
        return {'ok': True, 'reason': '', 'answered': answered}
    for address in children:
        reasons.setdefault(address, 'silent')
    told = ', '.join('%s: %s' % (address, reasons[address]) for address in addresses)
    return {'ok': False, 'reason': told or 'no address to ping', 'answered': None}


def _first_answer(children, reasons, deadline):
    """Return the first address whose ping succeeds; fills `reasons` for those that fail."""
    waiting = dict(children)
    while waiting and not deadline.is_over():
        for address, child in list(waiting.items()):
            code = child.poll()
            if code == PING_ANSWERED:
                return address
            if code is not None:
                del waiting[address]
                reasons[address] = ('silent' if code == PING_SILENT
                                    else 'ping exited with status %d' % code)
        deadline.sleep(POLL_SECONDS)
    return None


def _ping_result(outcome):
    if outcome.code == PING_SILENT:
        return {'ok': True, 'reason': '', 'answers': False}
    if outcome.ok:
        return {'ok': True, 'reason': '', 'answers': True}
    return {'ok': False, 'reason': 'cannot ping: ' + outcome.reason, 'answers': None}


def _ping(address, ping_path):
    return [os.path.join(ping_path, 'ping'), '-n', '-c', '1', '-W', '1', address]


def _check_kernel(address):
    from ahmlib.network import addresses
    try:
        return _result(True, '', bool(addresses.is_configured(address)))
    except (OSError, ValueError) as error:
        return _result(False, 'cannot tell whether %s is on an interface: %s'
                       % (address, error), None)


def _await(settings, deadline, is_patient):
    """Check until the address is here; only once where the command failed."""
    while True:
        found = check_vip(settings, max(deadline.remaining(), 0.05))
        if found['here'] or not is_patient or deadline.is_over():
            return found
        deadline.sleep(POLL_SECONDS)


def _run(settings, command, directory, limit):
    return programs.run(arguments(command, directory, settings.virtual_ip), limit)


def arguments(command, directory, address):
    """Return the argument vector: the address in place of $_IP_$, the program with its path."""
    argv = [word.replace(PLACEHOLDER, address) for word in command or []]
    if argv and '/' not in argv[0]:
        argv[0] = os.path.join(directory, argv[0])
    return argv


def _result(ok, reason, here):
    return {'ok': ok, 'reason': reason or '', 'here': here}
