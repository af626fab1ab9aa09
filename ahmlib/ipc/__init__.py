"""How the utilities talk to the daemon: one JSON line each way, over a UNIX socket or TCP.

    protocol    the lines themselves
    server      the daemon's side, in its loop
    client      the utilities' side, which may wait
"""
