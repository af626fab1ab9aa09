"""arping: which program, what it is asked, and what it says.

Of three programs with that name the exit statuses contradict each other, and their own older
versions: "nobody answered", "somebody has the address" and "I may not send" are all 1 in one of
them.  So what counts is what each prints: how many packets it sent, and the hardware address in
every reply.

A probe for duplicates (RFC 5227) asks with no sender address: Linux answers it only where the
address is its own, never by proxy, and no cache is touched.
"""
import os
import re
import shutil
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.process.programs import last_line

if TYPE_CHECKING:
    from ahmlib.process.programs import Outcome

# iputils and BusyBox; Thomas Habets' arping.
SENT = re.compile(r'Sent (\d+) probe|(\d+) packets transmitted, \d+ packets received')
REPLY = re.compile(r'reply from \S+ \[((?:[0-9A-Fa-f]{1,2}:)+[0-9A-Fa-f]{1,2})\]'
                   r'|bytes from ((?:[0-9A-Fa-f]{1,2}:)+[0-9A-Fa-f]{1,2}) \(')


class Told(NamedTuple):
    """What an arping printed."""

    sent: Optional[int]             # None: it did not say
    hardware: Tuple[str, ...]       # who replied, lower case


class Program(NamedTuple):
    """How arping is run here."""

    words: Tuple[str, ...]          # with what comes before it: sudo -n, busybox
    interface: str                  # '': not named
    is_habets: bool


def program(arping_cmd: Optional[Sequence[str]], arping_path: str) -> Optional[Program]:
    """The Program that arping_cmd runs, else the one in arping_path; None where there is none."""
    words = list(arping_cmd or ())
    for at, word in enumerate(words):
        if os.path.basename(word).startswith('arping'):
            head = words[:at] + [word if '/' in word or at else os.path.join(arping_path, word)]
            interface, option = _interface(words[at + 1:])
            return Program(tuple(head), interface, option == '-i')
    plain = os.path.join(arping_path, 'arping')
    if not os.access(plain, os.X_OK):
        return None
    return Program((plain,), '', False)


def names_none(command: Sequence[str]) -> bool:
    """Whether this command runs another program than an arping."""
    return not any(os.path.basename(word).startswith('arping') for word in command)


def without_rights(found: Program) -> Program:
    """The Program without what comes before it to gain rights (sudo); as it is where nothing does.

    Many an arping may send by itself, and sudo notes every refusal in a log.
    """
    path = shutil.which(found.words[-1])
    if path is None or not os.path.basename(found.words[0]).startswith(('sudo', 'doas')):
        return found
    return found._replace(words=(path,))


def _interface(options: Sequence[str]) -> Tuple[str, str]:
    """(the interface that is named, by which option).  iputils' own -i is a number of seconds."""
    for option in ('-I', '-i'):
        for at, word in enumerate(options):
            value = word[2:] or (options[at + 1] if at + 1 < len(options) else '')
            if word.startswith(option) and not re.match(r'[0-9.]*$', value):
                return value, option
    return '', ''


def probe_command(found: Program, interface: str, address: str) -> List[str]:
    """The command that asks the link who has `address`, for about a second."""
    if found.is_habets:
        return list(found.words) + ['-0', '-c', '2', '-W', '0.4', '-i', interface, address]
    # BusyBox takes a whole second for every probe.
    count = '1' if _is_busybox(found.words) else '2'
    return list(found.words) + ['-D', '-c', count, '-w', '1', '-I', interface, address]


def _is_busybox(words: Tuple[str, ...]) -> bool:
    path = shutil.which(words[-1]) or words[-1]
    return any(os.path.basename(word).startswith('busybox')
               for word in words + (os.path.realpath(path),))


def read(output: str) -> Told:
    """The Told of what an arping printed."""
    sent = [int(one or other) for one, other in SENT.findall(output)]
    replies = tuple((one or other).lower() for one, other in REPLY.findall(output))
    return Told(sent[-1] if sent else None, tuple(_two_digits(reply) for reply in replies))


def _two_digits(hardware: str) -> str:
    return ':'.join(part.zfill(2) for part in hardware.split(':'))


def announcement_trouble(outcome: 'Outcome') -> str:
    """Why an announcement (a programs.Outcome) told nobody anything; '' where it did.

    Nobody answers for one's own address, which some versions make an exit status of 1: so sent is
    sent.  A program that says nothing of what it sent (another one than arping, a wrapper) is
    believed by its exit status, and only where that is 0.
    """
    if not outcome.started or outcome.timed_out:
        return outcome.reason
    sent = read(outcome.output).sent
    if sent:
        return ''
    if sent == 0:
        return 'it sent nothing: %s' % (last_line(outcome.output) or outcome.reason)
    if outcome.code != 0:
        return outcome.reason + ' (it did not say that it sent anything)'
    return 'it said: ' + last_line(outcome.output) if _NOT_ARPABLE.search(outcome.output) else ''


# iputils and BusyBox end with 0 where the interface cannot carry ARP at all.
_NOT_ARPABLE = re.compile('is not ARPable')
