"""Scores a run by three competing quantities, and ranks the controllers.

- **overload**: CPU above the operator's maximum in percentage points, summed over the seconds. It harms the database's
  other users.
- **lateness**: messages that wait for longer than the lag target, summed over the seconds. It harms the index's users.
- **movement**: how far the limit moved up and down: the sum of the absolute changes of its logarithm, mean over the
  tasks. It makes the controller hard to explain.

Each quantity is divided by that of the scenario's best controller, `value ÷ (best + floor)`; the score is the mean of
the three, and lower is better. A floor is needed because the best value is often 0. All three floors stand for one
error that would be harmless if it happened once: **for ten seconds the limit is at the wrong end of its bounds.** Then
the CPU is saturated for ten seconds; or nothing is stored, and the rows that could have been stored are ten seconds
late; and the limit has moved once from one bound to the other. The floors do not grow with the length of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from benchmarks.simulation.record import Record

FLOOR_SECONDS: Final = 10.0
"""Duration of the error behind the floors: a few times the delay of a sensor with one-second windows."""


class Parts(msgspec.Struct, frozen=True):
    """Three quantities, or three ratios."""

    overload: float
    lateness: float
    movement: float

    @property
    def mean(self) -> float:
        """Mean of the three."""
        return (self.overload + self.lateness + self.movement) / 3


class Result(msgspec.Struct, frozen=True):
    """The result of one controller in one scenario."""

    controller: str
    source: str
    rank: int
    score: float
    values: Parts
    """Point-seconds, message-seconds, and the sum of the absolute changes of the limit's logarithm."""
    ratios: Parts
    """Each value divided by best plus floor."""
    mean_cpu_percent: float
    stored: int


def values(record: Record) -> Parts:
    """The three quantities of a run."""
    bounds = record.bounds
    overload = sum(max(0.0, each.cpu_percent - bounds.cpu_max_percent) for each in record.seconds)
    movement = [sum(_steps(path)) for path in record.paths]
    return Parts(overload, _lateness(record), sum(movement) / len(movement))


def floors(record: Record) -> Parts:
    """The three floors for runs of this scenario."""
    bounds = record.bounds
    return Parts(
        (100 - bounds.cpu_max_percent) * FLOOR_SECONDS,
        record.rows_per_second_at_most * FLOOR_SECONDS * FLOOR_SECONDS,
        math.log(bounds.limit_at_most / bounds.limit_at_least),
    )


def ratios_of(found: Sequence[Parts], floor: Parts) -> list[Parts]:
    """The three ratios of each controller: value ÷ (best + floor)."""
    overload = min(each.overload for each in found) + floor.overload
    lateness = min(each.lateness for each in found) + floor.lateness
    movement = min(each.movement for each in found) + floor.movement
    return [Parts(each.overload / overload, each.lateness / lateness, each.movement / movement) for each in found]


def ranked(runs: Sequence[tuple[Record, str]]) -> list[Result]:
    """The results of one scenario, best first; each record comes with its controller's source."""
    found = [values(record) for record, _ in runs]
    ratios = ratios_of(found, floors(runs[0][0]))
    order = sorted(range(len(runs)), key=lambda number: ratios[number].mean)
    return [
        Result(
            controller=runs[number][0].controller,
            source=runs[number][1],
            rank=rank,
            score=ratios[number].mean,
            values=found[number],
            ratios=ratios[number],
            mean_cpu_percent=_mean_cpu(runs[number][0]),
            stored=runs[number][0].seconds[-1].stored - runs[number][0].seconds[0].stored,
        )
        for rank, number in enumerate(order, start=1)
    ]


def _steps(path: Sequence[float]) -> list[float]:
    return [abs(math.log(later / earlier)) for earlier, later in pairwise(path)]


def _lateness(record: Record) -> float:
    """Messages that arrived longer ago than the lag target and were not taken yet, summed over the seconds.

    A backlog at the start counts as late from the start.
    """
    target = round(record.bounds.lag_target_seconds)
    seconds = record.seconds
    late = 0.0
    for number, each in enumerate(seconds):
        due = seconds[max(0, number - target)].arrived
        late += max(0.0, due - (each.arrived - each.waiting))
    return late


def _mean_cpu(record: Record) -> float:
    return sum(each.cpu_percent for each in record.seconds) / len(record.seconds)
