"""Running one of the operator's scripts: a hook.

A hook is killed only by its own time limit.  What it prints is for the log; what counts is its
exit status, and a hook that could not even be started is told apart from one that said no.
"""
from ahmlib.process import programs


def run_hook(argv, environment, limit):
    """Run the hook `argv` with `environment` added, for at most `limit` seconds.

    Returns {'ok', 'code', 'started', 'timed_out', 'reason', 'output'}: `code` is the exit
    status (negative: ended by that signal; None: not started, or killed at the limit),
    `output` the last 4 KiB of what it printed, `reason` one line ('' when ok).
    """
    texts = {name: str(value) for name, value in (environment or {}).items()}
    outcome = programs.run(argv, limit, environment=texts)
    return {'ok': outcome.ok, 'code': outcome.code, 'started': outcome.started,
            'timed_out': outcome.timed_out, 'reason': outcome.reason,
            'output': outcome.output}
