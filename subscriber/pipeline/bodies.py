"""The message bodies of one batch that go to the quarantine. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from subscriber.model import Delivery, Rejection
from subscriber.pipeline.steps import QuarantineBodies


class Bodies:
    """Those that are still to be committed, in the statements that are tried.

    Args:
        rejected: the messages that cannot be read, with the reason; one statement for all.
    """

    def __init__(self, rejected: Iterable[tuple[Delivery, Rejection]]) -> None:
        entries = list(rejected)
        self._steps = deque([QuarantineBodies(entries)] if entries else [])

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def failed(self) -> int:
        """How many statements have failed at least once."""
        return sum(one.tries > 0 for one in self._steps)

    @property
    def dues(self) -> list[float]:
        """When each statement may be tried."""
        return [one.due for one in self._steps]

    def add(self, step: QuarantineBodies) -> None:
        """One more statement to try."""
        self._steps.append(step)

    def take_due(self, now: float) -> QuarantineBodies | None:
        """One that may be tried now; it has to be added again if it fails."""
        for _ in range(len(self._steps)):
            step = self._steps.popleft()
            if step.due <= now:
                return step
            self._steps.append(step)
        return None

    def keep(self, is_kept: Callable[[Delivery], bool]) -> None:
        """Drop the bodies of all other messages."""
        kept = ((one, [entry for entry in one.entries if is_kept(entry[0])]) for one in self._steps)
        self._steps = deque(QuarantineBodies(entries, one.tries, one.due, one.seen) for one, entries in kept if entries)
