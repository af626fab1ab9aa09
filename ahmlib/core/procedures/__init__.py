"""Procedures: straight-line plans that yield effects and receive their outcomes.

Each is a generator run by `plan.Plan`, one at a time.  Every wait has a limit, and every failure
leads to a state that the status shows, with its reason.  What one returns is another one that is
wanted next, or how a takeover was given up.
"""

from typing import Any, Callable, Dict

from ..wanted import (
                      Attach,
                      ComeBack,
                      Follow,
                      HandOver,
                      Rejoin,
                      Restart,
                      RestartAsked,
                      ShutDown,
                      StartUp,
                      StepDown,
                      TakeOver,
)
from .attach import attach
from .follow import come_back, follow
from .rejoin import rejoin
from .restart import restart
from .restart_asked import restart_asked
from .shut_down import shut_down
from .start_up import start_up
from .step_down import step_down
from .switch_over import switch_over
from .take_over import take_over

#: The steps of each procedure that a part may want.
STEPS: Dict[Any, Callable[..., Any]] = {
    Attach: attach, ComeBack: come_back, Follow: follow, HandOver: switch_over, Rejoin: rejoin,
    Restart: restart, RestartAsked: restart_asked, ShutDown: shut_down, StartUp: start_up,
    StepDown: step_down, TakeOver: take_over,
}
