"""The Pythons of this machine, and a daemon that runs on one of them."""

import glob
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import yaml

from ahmlib.lab.addresses import loopback_plan
from release.tarball import ROOT

FETCHED = os.path.join(ROOT, 'build', 'fetched')
MINORS = range(6, 14)


class Done(NamedTuple):
    """How a command ended."""
    code: int
    out: str
    err: str


def build_tarball(directory):
    """Build the tarball in a process of its own, as make does."""
    subprocess.check_call([sys.executable, '-m', 'release.tarball', directory, FETCHED], cwd=ROOT)


def found():
    """{(3, 9): path}: one of each that is on PATH, or in pyenv."""
    pythons = {}
    home = os.path.expanduser('~/.pyenv/versions')
    for minor in MINORS:
        places = [shutil.which('python3.%d' % minor)] + sorted(
            glob.glob(os.path.join(home, '3.%d.*' % minor, 'bin', 'python')))
        for path in filter(None, places):
            if works(path, minor):
                pythons[(3, minor)] = path
                break
    return pythons


def works(path, minor):
    """Whether it is a Python 3.`minor` (what pyenv puts on PATH may be none)."""
    done = subprocess.run([path, '-c', 'import sys; print(sys.version_info[1])'],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.returncode == 0 and done.stdout.strip() == b'%d' % minor


def run(*words, **variables):
    """Run a command with these variables alone; returns Done."""
    done = subprocess.run(words, env=variables, cwd='/', stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=120)
    return Done(done.returncode, done.stdout, done.stderr)


def configured(directory):
    """Write the files of a witness into a directory; returns the path of its ahm_config.yml."""
    plan = loopback_plan(3)
    settings = {'node_name': 'AHM-NODE-1', 'is_witness': True, 'nodes_filename': 'nodes.conf',
                'ahm_port': plan.ahm_port, 'ipc_port': plan.ipc_port, 'data_dir': directory,
                'socket_dir': directory, 'listen_address': plan.node(1),
                'log_filename': 'ahm.log'}
    path = os.path.join(directory, 'ahm_config.yml')
    with open(path, 'w') as file:
        yaml.safe_dump(settings, file, default_flow_style=False)
    with open(os.path.join(directory, 'nodes.conf'), 'w') as file:
        file.writelines('%s:%d\n' % (plan.node(number), plan.ahm_port) for number in (1, 2, 3))
    return path


def walk(directory, **variables):
    """Start a daemon by the commands on PATH, ask it, reload it and stop it, in this directory."""
    config = configured(directory)

    def typed(*words):
        return run('/bin/sh', '-c', '"$@"', 'sh', *words, **variables)
    assert typed('ahm', '-f', config, 'start') == Done(0, '', '')
    try:
        status = typed('ahm_cluster_status', '-f', config)
        assert status.code == 4 and 'AHM-NODE-1' in status.out, status
        assert typed('ahm_cluster_status', '-f', config, '--check').code == 2
        assert typed('ahm', '-f', config, 'reload').code == 0
    finally:
        stopped = typed('ahm', '-f', config, 'stop')
    assert stopped == Done(0, 'AHM stopped\n', '')
