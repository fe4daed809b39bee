"""Real leases whose state a test can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.model import Message
from tests.fakes.samples import QUEUE


class RecordingLeases(VisibilityLeases):
    """Leases of one queue that record which messages were settled."""

    def __init__(self) -> None:
        super().__init__((QUEUE,), InFlightLimits(messages=1000, bytes=1 << 30), visibility_seconds=300)
        self.settled: Counter[str] = Counter()
        """How often each receipt handle was settled."""

    @property
    def is_paused(self) -> bool:
        """Whether polling is paused."""
        return bool(self._pausers)

    @property
    def is_on_probation(self) -> bool:
        """Whether polling is on probation."""
        return self._on_probation

    def settle(self, messages: Iterable[Message]) -> None:
        """Settle and record."""
        settled = list(messages)
        self.settled.update(one.receipt_handle for one in settled)
        super().settle(settled)
