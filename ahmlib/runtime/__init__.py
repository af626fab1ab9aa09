"""The world the daemon runs in: one thread around one selector, and what hangs on it.

    loop        waits for descriptors, signals and the next deadline
    children    runs everything that can block, in processes with a time limit
    state_file  keeps what must survive a restart
    pid_file    makes sure that one data directory has one daemon
    daemonize   leaves the terminal, and reports back whether the start succeeded
    own_files   the PID file and the socket, made anew where somebody removed them
    find        which daemon a command of ahm is for
    log         one event, one line
    service_manager  what systemd is told of this daemon
    telling     a report in the log and for notification_command, where it is news (repeats)

Nothing here decides anything, and nothing here may block the loop for more than 10 ms.
"""
