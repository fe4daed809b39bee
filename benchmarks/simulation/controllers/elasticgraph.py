"""ElasticGraph's indexer autoscaler: a dead band of datastore CPU, and the queue's depth."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

AT_LEAST: Final = 2.0
INCREASE_AT_MOST: Final = 1.5
PERIOD_SECONDS: Final = 60.0


class CpuDeadBand:
    """No change inside the band; outside it, a change in proportion to the distance from its middle."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._next_at: float | None = None
        self.limit = clamped(AT_LEAST, bounds)

    def decide(self, reading: Reading) -> float:
        """Decides once a minute, as its schedule does."""
        if self._next_at is None:
            self._next_at = reading.taken_at + PERIOD_SECONDS
        if reading.taken_at < self._next_at:
            return self.limit
        self._next_at += PERIOD_SECONDS
        if not reading.backlog_messages:
            self.limit = clamped(AT_LEAST, self._bounds)
        elif reading.load is not None:
            self.limit = clamped(max(AT_LEAST, self._scaled(reading.load.cpu_percent)), self._bounds)
        return self.limit

    def _scaled(self, cpu_percent: float) -> float:
        low, high = self._bounds.cpu_target_percent, self._bounds.cpu_max_percent
        middle = (low + high) / 2
        if cpu_percent < low:
            return self.limit * min(INCREASE_AT_MOST, middle / max(cpu_percent, 1.0))
        if cpu_percent > high:
            return self.limit - self.limit * (cpu_percent / middle - 1)
        return self.limit


SPEC: Final = ControllerSpec(
    "ElasticGraph band",
    "block/elasticgraph, concurrency_scaler.rb at cde88094: no messages → 2; CPU below the band × middle ÷ CPU, at "
    "most 1.5; above it − (CPU ÷ middle − 1); inside it unchanged. It has no default band (here: CPU target "
    "to maximum) and no schedule of its own (here: every minute)",
    CpuDeadBand,
)
