"""What goes wrong with the files of a host that AHM needs, on real servers and daemons.

A file that was removed is made anew before anybody misses it; what cannot be mended is told on
every node for as long as it lasts.
"""

import os

from ..scenarios import PAUSE, run
from .reading import LIMIT, WARNING, is_kept, is_over, is_told

OVER = 'the PID file and the UNIX socket are there again'


def own_files(node):
    """The paths of its PID file and of its UNIX socket."""
    sockets = os.listdir(node.socket_dir)
    assert len(sockets) == 1, sockets
    return os.path.join(node.data_dir, 'ahm.pid'), os.path.join(node.socket_dir, sockets[0])


def test_a_pid_file_and_a_socket_that_a_cleaner_removed(night):
    scenario, _, second, third = night
    paths = own_files(second)
    for path in paths:
        os.unlink(path)
    scenario.cluster.wait_until(lambda: all(map(os.path.exists, paths)), LIMIT, 'both anew', PAUSE)
    scenario.cluster.wait_until(
        lambda: scenario.log(second).count('was gone: it was made anew') == 2, LIMIT, 'the lines')
    for kind, path in zip(('the PID file', 'the UNIX socket'), paths):
        assert scenario.log(second).count('%s %s was gone' % (kind, path)) == 1
        is_kept(scenario, third, second, '%s %s was gone: it was made anew' % (kind, path))
    assert run(second, 'ahm_cluster_status').code == 0
    second.stop_ahm()       # finds it by the new file, and waits for its end
    assert not second.ahm_runs() and not os.path.exists(paths[0])
    second.start_ahm()


def test_a_data_dir_in_which_the_pid_file_cannot_be_made_anew(night):
    scenario, _, second, third = night
    path = own_files(second)[0]
    os.chmod(second.data_dir, 0o500)
    try:
        os.unlink(path)
        text = 'the PID file %s is gone and cannot be made anew: Permission denied; check space ' \
            'and permissions of %s' % (path, second.data_dir)
        is_told(scenario, second, third, text, WARNING)
    finally:
        os.chmod(second.data_dir, 0o700)
    is_over(scenario, second, third, text, OVER)
    assert os.path.exists(path)


def test_a_file_of_somebody_else_in_the_place_of_the_pid_file(night):
    scenario, _, second, third = night
    path = own_files(second)[0]
    os.unlink(path)
    scenario.cluster.workspace.write(path, '1\n')
    text = '%s is another file now, not the PID file of this daemon: it is left alone; remove it' \
        % path
    is_told(scenario, second, third, text, WARNING)
    with open(path) as file:
        assert file.read() == '1\n'
    os.unlink(path)
    is_over(scenario, second, third, text, OVER)
    assert os.path.exists(path)


def test_a_data_dir_in_which_nothing_can_be_written(night):
    scenario, _, second, third = night
    text = 'the state file cannot be written: '
    os.chmod(second.data_dir, 0o500)
    try:
        is_told(scenario, second, third, text, WARNING)
    finally:
        os.chmod(second.data_dir, 0o700)
    is_over(scenario, second, third, text, 'the state file can be written again')
