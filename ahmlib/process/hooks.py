"""Running one of the operator's scripts: a hook.

A hook is killed only by its own time limit.  What it prints is for the log; what counts is its
exit status, and a hook that could not even be started is told apart from one that said no.
"""
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from ahmlib.process import programs


class HookEnded(NamedTuple):
    """What became of a hook."""

    ok: bool
    code: Optional[int]     # exit status; negative: ended by that signal; None: never ended
    started: bool           # False: it could not be executed at all
    timed_out: bool
    reason: str             # one line; '' where it is ok
    output: str             # the last 4 KiB of what it printed


def run_hook(argv: Sequence[str], environment: Optional[Mapping[str, Any]],
             limit: float) -> HookEnded:
    """Run the hook `argv` with `environment` added, for at most `limit` seconds."""
    texts = {name: str(value) for name, value in (environment or {}).items()}
    outcome = programs.run(argv, limit, environment=texts)
    return HookEnded(outcome.ok, outcome.code, outcome.started, outcome.timed_out, outcome.reason,
                     outcome.output)
