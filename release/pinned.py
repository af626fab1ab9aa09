"""The Python modules that the tarball brings: pinned, fetched once, and checked by their hashes.

`pins.txt` names every file by its SHA-256, so that two builds hold the same, whenever and wherever
they are made, and nothing else can slip in.  What was fetched is kept in a directory; a build that
finds all there needs no network.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from typing import Dict, List, NamedTuple

PINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'pins.txt')
#: The C library that the wheels are made for, as pip names it, by both of its names.
PLATFORMS = ('manylinux2014_%s', 'manylinux_2_17_%s')
#: What is only there as source; of the others only wheels are taken.
SOURCES = ('docopt',)
#: `pure` takes the modules without their compiled parts out of the wheels of this one.
PURE_FROM = 'cp36-x86_64'


class Pin(NamedTuple):
    """One line of pins.txt."""
    place: str          # below lib/ of the tarball: 'pure', or what ahmlib.needs.tag() gives
    requirement: str    # as pip takes it: 'msgpack==1.0.5'
    sha256: str


class CannotFetch(Exception):
    """A file is not there and cannot be fetched.  One line: which, why, what to do."""


def read(path: str = PINS) -> List[Pin]:
    """The pins of a file, in its order."""
    with open(path, encoding='utf-8') as file:
        return [Pin(*line.split()) for line in file if line.strip() and not line.startswith('#')]


def fetch(pins: List[Pin], directory: str) -> Dict[str, str]:
    """{sha256: path} of the files of these pins in `directory`; what it lacks is fetched into it.

    Raises CannotFetch.
    """
    os.makedirs(directory, exist_ok=True)
    for pin in pins:
        if pin.sha256 not in _held(directory):
            _fetch_one(pin, directory)
    held = _held(directory)
    return {pin.sha256: held[pin.sha256] for pin in pins}


def _held(directory: str) -> Dict[str, str]:
    """{sha256: path} of all files in a directory."""
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, 'rb') as file:
                found[hashlib.sha256(file.read()).hexdigest()] = path
    return found


def _fetch_one(pin: Pin, directory: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        requirements = os.path.join(place, 'requirements.txt')
        with open(requirements, 'w') as file:
            file.write('%s --hash=sha256:%s\n' % (pin.requirement, pin.sha256))
        done = subprocess.run(
            [sys.executable, '-m', 'pip', 'download', '-q', '--disable-pip-version-check',
             '--no-deps', '--require-hashes', '-d', directory, '-r', requirements] + _which(pin),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()] or ['nothing']
        raise CannotFetch(
            'cannot fetch %s for %s: pip ended with %d and said: %s; see whether this host reaches '
            'a package index, or put the file with SHA-256 %s into %s' % (
                pin.requirement, pin.place, done.returncode, said[-1].strip(), pin.sha256,
                directory))
    if pin.sha256 not in _held(directory):
        raise CannotFetch('pip fetched %s for %s, but no file in %s has the SHA-256 %s of '
                          'release/pins.txt' % (pin.requirement, pin.place, directory, pin.sha256))


def _which(pin: Pin) -> List[str]:
    """The words that tell pip for which Python and machine."""
    if pin.requirement.split('==')[0] in SOURCES:
        return ['--no-binary', ':all:']
    place = PURE_FROM if pin.place == 'pure' else pin.place
    minor, machine = place[len('cp3'):].split('-')
    # Up to Python 3.7 the name of the ABI has an m.
    abi = 'cp3%s%s' % (minor, 'm' if int(minor) < 8 else '')
    words = ['--only-binary', ':all:', '--implementation', 'cp', '--python-version',
             '3.' + minor, '--abi', abi]
    for name in PLATFORMS:
        words += ['--platform', name % machine]
    return words
