"""From a reading about the past to the CPU of today: whose load it was, and what our part would be now. Pure.

A reading belongs to the work in force when it was taken. Acting on it as if it spoke of now is what makes feedback
over a slow sensor swing, so our part of it is scaled by the concurrency since then: a Smith predictor (O. J. M.
Smith, Chemical Engineering Progress 53, 1957), for a plant that is a plain gain.

    own     = reading − foreign
    today   = foreign + own × (limit now ÷ concurrency used in the reading's window)
"""

from __future__ import annotations

import math

import msgspec

from subscriber.control.governor.memory import Span, WindowedMin

EXTERNAL_SHARE_AT_MOST = 1 / 3
"""How much of a reading may be taken for somebody else's.

Tasks of one fleet take each other for foreign when their number changes, and all correct at once. With a share of
`f` wrongly held for foreign, what remains of an error after a correction is `−f ÷ (1 − f)` of it: at a third, half of
it with the sign turned, which dies away; at one half it would never.
"""

STAYING_SHARE_AT_MOST = 2 / 3
"""How much of a reading may be expected to stay when we take less. Tasks of a fleet all take less at once and so expect
too much to stay; then they take a little too little, and know it with the next readings."""

SATURATED_PERCENT = 95.0
"""From here on a reading says that there is too much, but not how much too much."""

SATURATION_STRETCH_AT_MOST = 4.0
"""How far beyond its reading a saturated database may be taken to be: one look must not end all writing."""

READING_ERROR_PERCENT = 3.0
"""Twice the standard error of a sensor."""

COST_READ_FROM_PERCENT = 15.0
"""Below this a sensor's error and the database's own housekeeping outweigh what rows cost."""

COST_MEMORY_SECONDS = 15.0
"""Rows are counted when they are stored, CPU when it is used: within a second the two may miss each other."""

USED_SHARE_AT_LEAST = 0.5
"""A window in which we used less of our limit than this says nothing of what the limit would cost."""

CYCLES = 5
"""A limit below one is a duty cycle: so many of its periods must be seen before their mean is one."""


class Mean(msgspec.Struct, frozen=True):
    """CPU and the work behind it, as means over the same time; older readings count for less."""

    weight_seconds: float = 0.0
    cpu_percent: float = 0.0
    used: float = 0.0
    expected: float = 0.0
    limit: float = 0.0
    rows_per_second: float = 0.0

    def with_reading(self, cpu_percent: float, span: Span, window_seconds: float, memory_seconds: float) -> Mean:
        """The same with one reading more, what came before being forgotten over `memory_seconds`."""
        kept = self.weight_seconds * math.exp(-window_seconds / memory_seconds) if memory_seconds > 0 else 0.0
        weight = kept + window_seconds
        share = window_seconds / weight
        return Mean(
            weight,
            self.cpu_percent + share * (cpu_percent - self.cpu_percent),
            self.used + share * (span.used - self.used),
            self.expected + share * (span.expected - self.expected),
            self.limit + share * (span.limit - self.limit),
            self.rows_per_second + share * (span.rows_per_second - self.rows_per_second),
        )


def is_in_use(work: Mean | Span) -> bool:
    """Whether so much of the limit was used that the CPU of that time tells what it costs."""
    return work.expected > 0 and work.expected >= USED_SHARE_AT_LEAST * work.limit


class RowCost(msgspec.Struct, frozen=True):
    """CPU points per row and second, as far as they are ours: the least seen of late.

    CPU against rows per second is nearly a straight line through our neighbor's load. Its slope can be no more than
    reading ÷ rows, and comes down to it when nobody else is there; so the least ratio is the slope, or too much of
    it, never too little. Too much means: too much of the reading is taken for ours, and growth is slower than need be.
    A regression over both would find the intercept too, but not in a closed loop: a neighbor who comes raises
    CPU and lowers our rows, which it reads as rows that save CPU.
    """

    least: WindowedMin = WindowedMin()
    mean: Mean = Mean()

    def with_reading(self, cpu_percent: float, span: Span, window_seconds: float, now: float) -> RowCost:
        """The same with what one reading and the rows of its window say."""
        mean = self.mean.with_reading(cpu_percent, span, window_seconds, COST_MEMORY_SECONDS)
        least = self.least
        if mean.rows_per_second > 0 and COST_READ_FROM_PERCENT <= mean.cpu_percent < SATURATED_PERCENT:
            least = least.with_sample(mean.cpu_percent / mean.rows_per_second, now)
        return RowCost(least, mean)

    def external_share(self, mean: Mean) -> float:
        """The part of a mean reading, 0 to 1, that our rows do not explain."""
        if not math.isfinite(self.least.value) or mean.cpu_percent <= 0:
            return 0.0
        return max(0.0, 1 - self.least.value * mean.rows_per_second / mean.cpu_percent)


class Prediction(msgspec.Struct, frozen=True):
    """The CPU if our limit were used to the full, and the part of it that follows our limit."""

    own_percent: float
    external_percent: float
    own_at_most_percent: float
    """Our part by the more cautious of two witnesses: what the limiter let through, and what it should have in the long
    run. Below one the first is a toss of a coin, and the second runs ahead while the limit rises."""
    error_percent: float
    """How much our part may be larger for the sensor's error, which is carried to today as the reading is."""
    is_measured: bool
    """Whether our limit was really used in the window: only then is it known what more of it would cost."""

    @property
    def cpu_percent(self) -> float:
        """Both parts; more than 100 where we ask for more than there is."""
        return self.own_percent + self.external_percent


def demand_percent(cpu_percent: float, row_time_ratio: float) -> float:
    """What is asked of the database, above 100 where it is saturated.

    Under processor sharing a statement takes as many times longer as there is more to do than can be done. So what a
    full CPU does not tell, the time of a row against its best of late does.
    """
    if cpu_percent < SATURATED_PERCENT:
        return cpu_percent
    return cpu_percent * min(SATURATION_STRETCH_AT_MOST, max(1.0, row_time_ratio))


def memory_seconds(limit: float, statement_seconds: float) -> float:
    """How long readings must be averaged for the concurrency in them to be that of the limit.

    A single place writes for a statement's time and rests, `statement ÷ limit` from one begin to the next; a window
    shorter than this sees the one or the other. Many places average themselves.
    """
    return CYCLES * statement_seconds / limit


def predict(mean: Mean | None, cost: RowCost, row_time_ratio: float, limit: float, cpu_percent: float) -> Prediction:
    """The CPU of today under `limit`.

    Args:
        mean: readings and the work behind them; None where that work is not known.
        cost: of a row.
        row_time_ratio: time of a row against its best of late.
        limit: concurrent writes allowed now.
        cpu_percent: the newest reading, for where there is no mean.
    """
    if mean is None:
        demand = demand_percent(cpu_percent, row_time_ratio)
        return Prediction(demand, 0.0, demand, READING_ERROR_PERCENT, is_measured=False)
    demand = demand_percent(mean.cpu_percent, row_time_ratio)
    share = cost.external_share(mean)
    foreign = demand * min(EXTERNAL_SHARE_AT_MOST, share)
    if not is_in_use(mean):
        own = demand - foreign
        return Prediction(own, foreign, own, READING_ERROR_PERCENT, is_measured=False)
    cautious = min(mean.expected, max(mean.used, USED_SHARE_AT_LEAST * mean.expected))
    return Prediction(
        own_percent=_carried(demand, share, limit / mean.expected) - foreign,
        external_percent=foreign,
        own_at_most_percent=_carried(demand, share, limit / cautious) - foreign,
        error_percent=READING_ERROR_PERCENT * limit / cautious,
        is_measured=True,
    )


def _carried(demand_percent: float, external_share: float, ratio: float) -> float:
    """The CPU when our part is multiplied by `ratio`.

    Of two beliefs about what is foreign the more cautious one counts. A cut frees no more than our rows explain: what
    is a neighbor's stays. A rise may be everybody's, if those others are of our fleet.
    """
    foreign = demand_percent * min(EXTERNAL_SHARE_AT_MOST if ratio > 1 else STAYING_SHARE_AT_MOST, external_share)
    return foreign + (demand_percent - foreign) * ratio
