"""Sui's indexer framework: a dead band on a channel's fill level, one cut per congestion, sized by severity."""

from __future__ import annotations

import math
from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

FILL_LOW: Final = 0.60
FILL_HIGH: Final = 0.85
KEEP_AT_MOST: Final = 0.8
KEEP_SPAN: Final = 0.3


class FillBand:
    """Above the band cuts by 20 to 50 %, once per epoch; below it, if the limit was used, adds its logarithm."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limit = 1
        self._cut_at: float | None = None
        self._was_used = False

    @property
    def limit(self) -> float:
        """Whole permits."""
        return clamped(self._limit, self._bounds)

    def decide(self, reading: Reading) -> float:
        """At most one change per reading of the fill level."""
        self._was_used |= reading.limit_reached
        if reading.load is None:
            return self.limit
        fill = reading.load.cpu_percent / 100
        if fill >= FILL_HIGH and self._is_new_epoch(reading):
            severity = (fill - FILL_HIGH) / (1 - FILL_HIGH)
            self._limit = max(1, math.floor(self._limit * (KEEP_AT_MOST - KEEP_SPAN * severity)))
            self._cut_at, self._was_used = reading.taken_at, False
        elif fill < FILL_LOW and self._was_used:
            step = max(1, math.ceil(math.log10(self._limit)))
            self._limit = min(math.floor(self._bounds.limit_at_most), self._limit + step)
            self._was_used = False
        return self.limit

    def _is_new_epoch(self, reading: Reading) -> bool:
        """Whether statements that started after the last cut have returned: a statement's duration has passed."""
        return self._cut_at is None or reading.taken_at - self._cut_at > (reading.statement_seconds or 0.0)


SPEC: Final = ControllerSpec(
    "Sui fill band",
    "MystenLabs/sui, crates/sui-futures stream.rs: fill ≥ 0.85 keeps 0.8 − 0.3 × severity, once per epoch; fill < 0.60 "
    "and the limit used: + ceil(log10(limit)); between them unchanged. Its signal is the fill of the channel behind "
    "the work; a bulk writer has no such channel, so database CPU is used instead",
    FillBand,
)
