"""How long a server that is starting up is waited for (ahm_protocol(7), R29)."""

from typing import Optional

from ..facts import Facts


class Grace:
    """Since when somebody finds a server starting up, and whether that has lasted too long."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.since: Optional[float] = None

    def note(self, starting: bool) -> None:
        """It is found to be starting up, now; or not."""
        if not starting:
            self.since = None
        elif self.since is None:
            self.since = self.facts.now

    def is_left(self) -> bool:
        """Whether it is left more time."""
        return self.since is None or not self.facts.reached(
            self.since + self.facts.settings.wait_for_primary)
