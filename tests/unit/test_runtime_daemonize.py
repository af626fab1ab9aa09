"""Detaching: the command waits, tells the truth, and the daemon has left the terminal."""

import json
import os
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PRELUDE = """
import json, os, sys, time
sys.path.insert(0, %r)
from ahmlib.runtime import daemonize
print('before', flush=True)
ready = daemonize.detach()
print('never seen', flush=True)
""" % ROOT


def run(body, **options):
    process = subprocess.Popen([sys.executable, '-c', PRELUDE + body], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, universal_newlines=True, **options)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def wait_for(path, seconds=30):
    limit = time.monotonic() + seconds
    while not os.path.exists(path):
        assert time.monotonic() < limit, '%s did not appear' % path
        time.sleep(0.01)
    with open(path) as file:
        return json.load(file)


def test_success_is_silent():
    assert run('ready(True)') == (0, 'before\n', '')


def test_failure_is_said_on_stderr():
    assert run("ready(False, 'port 9500 is in use')") == (1, 'before\n', 'port 9500 is in use\n')


@pytest.mark.parametrize('body', ['os._exit(0)', "raise RuntimeError('x')",
                                  'os.kill(os.getpid(), 9)'])
def test_a_daemon_that_dies_before_it_is_ready_is_a_failure(body):
    code, out, error = run(body)
    assert (code, out) == (1, 'before\n')
    assert error == 'the daemon ended before it was ready; its log may say why\n'


def test_only_the_first_report_counts():
    assert run("ready(True); ready(False, 'late')") == (0, 'before\n', '')


def test_the_daemon_has_left_terminal_session_and_directory(tmp_path):
    path = str(tmp_path / 'about')
    code, _, _ = run("""
about = {'pid': os.getpid(), 'sid': os.getsid(0), 'cwd': os.getcwd(),
         'umask': os.umask(0o077), 'stdio': [os.readlink('/proc/self/fd/%%d' %% fd)
                                             for fd in (0, 1, 2)]}
with open(%r + '.new', 'w') as file:
    json.dump(about, file)
os.rename(%r + '.new', %r)
ready(True)
""" % (path, path, path), preexec_fn=lambda: os.umask(0))
    assert code == 0
    about = wait_for(path)
    assert about['stdio'] == ['/dev/null'] * 3
    assert about['cwd'] == '/'
    assert about['sid'] != os.getsid(0)
    assert about['sid'] != about['pid'], 'a session leader could get a terminal again'
    assert about['umask'] == 0o022


def test_the_command_waits_until_the_daemon_is_ready(tmp_path):
    path = str(tmp_path / 'go')
    process = subprocess.Popen([sys.executable, '-c', PRELUDE + """
while not os.path.exists(%r):
    time.sleep(0.01)
ready(True)
""" % path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'before\n'
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    open(path, 'w').close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_closed_standard_descriptors_are_filled():
    script = ("import os, sys; sys.path.insert(0, %r)\n"
              "from ahmlib.runtime import daemonize\n"
              "os.close(0); os.close(2)\n"
              "daemonize.ensure_stdio()\n"
              "print([os.readlink('/proc/self/fd/%%d' %% fd) for fd in (0, 2)])" % ROOT)
    out = subprocess.check_output([sys.executable, '-c', script], universal_newlines=True)
    assert out == "['/dev/null', '/dev/null']\n"
