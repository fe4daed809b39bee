"""How good a run was, in three quantities that pull against each other, and the laws in order.

- **heat**: points of CPU above the operator's maximum, summed over the seconds. What the database's owner minds.
- **lateness**: messages that wait for longer than the lag target, summed over the seconds. What the index's users mind.
- **wander**: how far the limit went, up and down: the sum of the changes of its logarithm, mean over the tasks. What
  whoever has to explain a graph minds.

Each is held against the best law of the scenario, `(value + floor) ÷ (best + floor)`: 1 is the best there was. The
score is the mean of the three, less is better. The floors say below what a difference is of no interest, and keep the
ratio to a best of nothing finite: a hundredth of the operator's largest CPU, on average; a hundredth of his largest
lag, for every message; one way from the smallest limit to the largest, which a law that starts at the bottom has to go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from benchmarks.simulate.record import Record

FLOOR_SHARE: Final = 0.01
"""Of what the operator allows."""


class Parts(msgspec.Struct, frozen=True):
    """Three quantities, or three ratios."""

    heat: float
    lateness: float
    wander: float

    @property
    def mean(self) -> float:
        """Of the three."""
        return (self.heat + self.lateness + self.wander) / 3


class Result(msgspec.Struct, frozen=True):
    """One law in one scenario."""

    law: str
    source: str
    rank: int
    score: float
    values: Parts
    """Point-seconds, message-seconds, sum of changes of the limit's logarithm."""
    ratios: Parts
    """Against the best."""
    mean_cpu_percent: float
    stored: int


def values(record: Record) -> Parts:
    """The three quantities of a run."""
    bounds = record.bounds
    heat = sum(max(0.0, each.cpu_percent - bounds.cpu_max_percent) for each in record.seconds)
    wander = [sum(_steps(path)) for path in record.paths]
    return Parts(heat, _lateness(record), sum(wander) / len(wander))


def floors(record: Record) -> Parts:
    """Below what differences are of no interest, for runs of this scenario."""
    bounds, last = record.bounds, record.seconds[-1]
    return Parts(
        FLOOR_SHARE * bounds.cpu_max_percent * len(record.seconds),
        FLOOR_SHARE * bounds.lag_max_seconds * last.arrived,
        math.log(bounds.limit_at_most / bounds.limit_at_least),
    )


def ranked(runs: Sequence[tuple[Record, str]]) -> list[Result]:
    """The laws of one scenario, the best first; each record comes with its law's source."""
    found = [values(record) for record, _ in runs]
    floor = floors(runs[0][0])
    best = Parts(
        min(each.heat for each in found), min(each.lateness for each in found), min(each.wander for each in found)
    )
    ratios = [
        Parts(
            (each.heat + floor.heat) / (best.heat + floor.heat),
            (each.lateness + floor.lateness) / (best.lateness + floor.lateness),
            (each.wander + floor.wander) / (best.wander + floor.wander),
        )
        for each in found
    ]
    order = sorted(range(len(runs)), key=lambda number: ratios[number].mean)
    return [
        Result(
            law=runs[number][0].law,
            source=runs[number][1],
            rank=rank,
            score=ratios[number].mean,
            values=found[number],
            ratios=ratios[number],
            mean_cpu_percent=_mean_cpu(runs[number][0]),
            stored=runs[number][0].seconds[-1].stored,
        )
        for rank, number in enumerate(order, start=1)
    ]


def _steps(path: Sequence[float]) -> list[float]:
    return [abs(math.log(later / earlier)) for earlier, later in pairwise(path)]


def _lateness(record: Record) -> float:
    """Messages that came before the lag target's time and have not been taken, second by second.

    What waits from the start counts as late from the start.
    """
    target = round(record.bounds.lag_target_seconds)
    seconds = record.seconds
    late = 0.0
    for number, each in enumerate(seconds):
        came_in_time = seconds[max(0, number - target)].arrived
        late += max(0.0, came_in_time - (each.arrived - each.waiting))
    return late


def _mean_cpu(record: Record) -> float:
    return sum(each.cpu_percent for each in record.seconds) / len(record.seconds)
