"""What an outage stops and starts, reduced to the fact."""

from __future__ import annotations


class Intake:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.is_paused = False
        self.is_on_probation = False

    def pause(self) -> None:
        """Take no more."""
        self.is_paused = True

    def resume(self) -> None:
        """Take again."""
        self.is_paused = self.is_on_probation = False

    def begin_probation(self) -> None:
        """Take again, but little."""
        self.is_paused, self.is_on_probation = False, True
