"""What the core can ask for, and no configuration makes it ask for."""

from typing import TYPE_CHECKING

from ahmlib.core import effects, events

if TYPE_CHECKING:
    from ahmlib.runtime.driver import Driver


def set_synchronous(driver: 'Driver', effect: effects.SetSynchronous) -> None:
    """Only the simulation has the modes in which AHM sets what commits wait for."""
    driver.feed(events.ActionEnded(
        effect.token, False, 'this version does not set synchronous_standby_names'))
