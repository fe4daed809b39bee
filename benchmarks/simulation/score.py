"""How good a run was, in three quantities that pull against each other, and the laws in order.

- **heat**: points of CPU above the operator's maximum, summed over the seconds. What the database's owner minds.
- **lateness**: messages that wait for longer than the lag target, summed over the seconds. What the index's users mind.
- **wander**: how far the limit went, up and down: the sum of the changes of its logarithm, mean over the tasks. What
  whoever has to explain a graph minds.

Each is divided by the best law's of the scenario, `value ÷ (best + floor)`, and the score is the mean of the three:
less is better. A floor is needed because the best is often nothing. All three are one and the same mistake, which
nobody would mind if it happened once: **for ten seconds the limit stands at the wrong end of its bounds.** Then the
CPU is full for so long; or nothing is stored for so long, and what could have been is late by as much; and the limit
has gone once from one end to the other. They do not grow with a run's length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from benchmarks.simulation.record import Record

MISTAKE_SECONDS: Final = 10.0
"""How long the mistake lasts that makes the floors: a few times the delay of a sensor of one second."""


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
    """Against the best and the floor."""
    mean_cpu_percent: float
    stored: int


def values(record: Record) -> Parts:
    """The three quantities of a run."""
    bounds = record.bounds
    heat = sum(max(0.0, each.cpu_percent - bounds.cpu_max_percent) for each in record.seconds)
    wander = [sum(_steps(path)) for path in record.paths]
    return Parts(heat, _lateness(record), sum(wander) / len(wander))


def floors(record: Record) -> Parts:
    """One mistake of each kind, for runs of this scenario."""
    bounds = record.bounds
    return Parts(
        (100 - bounds.cpu_max_percent) * MISTAKE_SECONDS,
        record.rows_per_second_at_most * MISTAKE_SECONDS * MISTAKE_SECONDS,
        math.log(bounds.limit_at_most / bounds.limit_at_least),
    )


def ratios_of(found: Sequence[Parts], floor: Parts) -> list[Parts]:
    """The parts of each law against the best and the floor."""
    heat = min(each.heat for each in found) + floor.heat
    lateness = min(each.lateness for each in found) + floor.lateness
    wander = min(each.wander for each in found) + floor.wander
    return [Parts(each.heat / heat, each.lateness / lateness, each.wander / wander) for each in found]


def ranked(runs: Sequence[tuple[Record, str]]) -> list[Result]:
    """The laws of one scenario, the best first; each record comes with its law's source."""
    found = [values(record) for record, _ in runs]
    ratios = ratios_of(found, floors(runs[0][0]))
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
            stored=runs[number][0].seconds[-1].stored - runs[number][0].seconds[0].stored,
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
