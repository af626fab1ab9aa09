"""The steps of a procedure, as the history of events tells them: what was waited for, and how long.

A procedure takes time only where it waits, so its waits, one after the other, are all of its time:
their durations add up to that of the whole.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

from .effects import (
    AttachDatabase,
    CheckpointDatabase,
    FollowPrimary,
    InspectDatabase,
    LeaveStandbySignal,
    LowerVip,
    PingVip,
    Promote,
    RaiseVip,
    RestartDatabase,
    RunHook,
    SetSynchronous,
    StartDatabase,
    StopDatabase,
)

#: By the effect that is waited for: the name of the step.  A hook has its own.
NAMES: Dict[type, str] = {
    AttachDatabase: 'database attached', CheckpointDatabase: 'checkpoint',
    FollowPrimary: 'pointed to the primary', InspectDatabase: 'files read',
    LeaveStandbySignal: 'standby.signal', LowerVip: 'VIP down', PingVip: 'VIP silent',
    Promote: 'promotion', RaiseVip: 'VIP up', RestartDatabase: 'database restarted',
    SetSynchronous: 'synchronous_standby_names set',
    StartDatabase: 'database started', StopDatabase: 'database stopped',
}
WAITS = 'waits'


class Step(NamedTuple):
    """One step: when it began, and the seconds that it took."""
    name: str
    at: float
    took: float


def name_of_effect(asked: Any) -> str:
    """What a procedure waits for that asked for this effect."""
    return asked.hook if isinstance(asked, RunHook) else NAMES.get(type(asked), WAITS)


class Course:
    """The steps of one procedure that is under way."""

    def __init__(self) -> None:
        self._begun: List[Tuple[str, float]] = []

    def enters(self, name: str, now: float) -> None:
        """This step begins, where it is not the one that is under way; so a retry is one step."""
        if not self._begun or self._begun[-1][0] != name:
            self._begun.append((name, now))

    def ended(self, now: float) -> Tuple[Step, ...]:
        """All steps, of which the last one ends now."""
        ends = [at for _, at in self._begun[1:]] + [now]
        return tuple(Step(name, at, end - at) for (name, at), end in zip(self._begun, ends))
