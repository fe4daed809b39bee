"""Predicts the CPU of now from a reading of the past: which part is ours, and how it follows our limit. Pure.

A reading belongs to the work in its window. Feedback that treats a slow sensor's reading as current oscillates, so our
part of it is scaled by how the concurrency has changed since then: a Smith predictor (O. J. M. Smith, Chemical
Engineering Progress 53, 1957), for a controlled system that is a plain gain.

    own     = reading − external
    now     = external + own × (limit now ÷ concurrency used in the reading's window)
"""

from __future__ import annotations

import math

import msgspec

from subscriber.control.governor.memory import Span, WindowedMin

EXTERNAL_SHARE_AT_MOST = 1 / 3
"""The largest part of a reading that counts as external load.

Tasks of one fleet mistake each other for external load when their number changes, and all correct at once. If a share
`f` wrongly counts as external, `−f ÷ (1 − f)` of an error remains after a correction: at a third, half of it with the
opposite sign, which decays; at one half it would never decay.
"""

STAYING_SHARE_AT_MOST = 2 / 3
"""The largest part of a reading that we expect to stay when we use less. Tasks of a fleet all use less at once and so
expect too much to stay; they then use a little too little, which the next readings correct."""

SATURATED_PERCENT = 95.0
"""From here on a reading shows that demand is too high, but not by how much."""

SATURATION_STRETCH_AT_MOST = 4.0
"""How far beyond its reading the demand on a saturated database may be estimated: one reading must not end all
writing."""

READING_ERROR_PERCENT = 3.0
"""Twice the standard error of a sensor."""

COST_READ_FROM_PERCENT = 15.0
"""Below this a sensor's error and the database's own maintenance outweigh the cost of rows."""

COST_MEMORY_SECONDS = 15.0
"""Rows count when they are stored, CPU when it is used: within one second the two may not match."""

USED_SHARE_AT_LEAST = 0.5
"""A window in which we used less of our limit than this does not show what the limit would cost."""

CYCLES = 5
"""A limit below one is a duty cycle: a mean must cover so many of its periods to be meaningful."""


class Mean(msgspec.Struct, frozen=True):
    """CPU and the work that caused it, as means over the same time; older readings have less weight."""

    weight_seconds: float = 0.0
    cpu_percent: float = 0.0
    used: float = 0.0
    long_run_used: float = 0.0
    limit: float = 0.0
    rows_per_second: float = 0.0

    def with_reading(self, cpu_percent: float, span: Span, window_seconds: float, decay_seconds: float) -> Mean:
        """The same with one reading more; earlier readings decay over `decay_seconds`."""
        kept = self.weight_seconds * math.exp(-window_seconds / decay_seconds) if decay_seconds > 0 else 0.0
        weight = kept + window_seconds
        share = window_seconds / weight
        return Mean(
            weight,
            self.cpu_percent + share * (cpu_percent - self.cpu_percent),
            self.used + share * (span.used - self.used),
            self.long_run_used + share * (span.long_run_used - self.long_run_used),
            self.limit + share * (span.limit - self.limit),
            self.rows_per_second + share * (span.rows_per_second - self.rows_per_second),
        )


def is_in_use(work: Mean | Span) -> bool:
    """Whether enough of the limit was used for the CPU of that time to show its cost."""
    return work.long_run_used > 0 and work.long_run_used >= USED_SHARE_AT_LEAST * work.limit


class RowCost(msgspec.Struct, frozen=True):
    """CPU points per row and second that we cause: the least recent ratio.

    CPU against rows per second is nearly a straight line whose intercept is the external load. Its slope is at most
    reading ÷ rows, and equal to that without external load; so the least ratio is the slope or larger, never smaller.
    Larger means that too much of the reading counts as ours, and growth is slower than it could be. A regression would
    find the intercept too, but not in a closed loop: a noisy neighbor raises the CPU and lowers our rows, from which
    the regression concludes that rows save CPU.
    """

    least: WindowedMin = WindowedMin()
    cost_mean: Mean = Mean()
    """Recent readings with the rows that caused them."""

    def with_reading(self, cpu_percent: float, span: Span, window_seconds: float, now: float) -> RowCost:
        """The same with one reading and the rows of its window."""
        mean = self.cost_mean.with_reading(cpu_percent, span, window_seconds, COST_MEMORY_SECONDS)
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
    """The CPU with our limit fully used, and the part of it that follows our limit."""

    own_percent: float
    external_percent: float
    own_at_most_percent: float
    """Our part by the more cautious of two estimates: the concurrency that was used, and the one that the limiter
    allows in the long run. Below one the first is random, and the second is too high while the limit rises."""
    uncertainty_percent: float
    """How much larger our part may be because of the sensor's error, which scales as the reading does."""
    is_measured: bool
    """Whether our limit was in use in the window: only then the cost of a higher limit is known."""

    @property
    def cpu_percent(self) -> float:
        """Both parts; more than 100 where demand exceeds the capacity."""
        return self.own_percent + self.external_percent


def demand_percent(cpu_percent: float, row_time_ratio: float) -> float:
    """The demand on the database, above 100 where it is saturated.

    Under processor sharing statements slow down by the ratio of demand to capacity. So the time of a row against its
    recent best shows the demand that a full CPU hides.
    """
    if cpu_percent < SATURATED_PERCENT:
        return cpu_percent
    return cpu_percent * min(SATURATION_STRETCH_AT_MOST, max(1.0, row_time_ratio))


def memory_seconds(limit: float, statement_seconds: float) -> float:
    """How long readings must be averaged for the concurrency in them to be that of the limit.

    A limit below one is a write and a cool-down in turn, `statement ÷ limit` from one start to the next; a shorter
    window sees either. Several concurrent writes average each other.
    """
    return CYCLES * statement_seconds / limit


def predict(mean: Mean | None, cost: RowCost, row_time_ratio: float, limit: float, cpu_percent: float) -> Prediction:
    """The CPU of now under `limit`.

    Args:
        mean: readings and the work that caused them; None where that work is unknown.
        cost: of a row.
        row_time_ratio: time of a row against its recent best.
        limit: concurrent writes allowed now.
        cpu_percent: the newest reading, used without a mean.
    """
    if mean is None:
        demand = demand_percent(cpu_percent, row_time_ratio)
        return Prediction(demand, 0.0, demand, READING_ERROR_PERCENT, is_measured=False)
    demand = demand_percent(mean.cpu_percent, row_time_ratio)
    share = cost.external_share(mean)
    external = demand * min(EXTERNAL_SHARE_AT_MOST, share)
    if not is_in_use(mean):
        own = demand - external
        return Prediction(own, external, own, READING_ERROR_PERCENT, is_measured=False)
    cautious = min(mean.long_run_used, max(mean.used, USED_SHARE_AT_LEAST * mean.long_run_used))
    return Prediction(
        own_percent=_scaled(demand, share, limit / mean.long_run_used) - external,
        external_percent=external,
        own_at_most_percent=_scaled(demand, share, limit / cautious) - external,
        uncertainty_percent=READING_ERROR_PERCENT * limit / cautious,
        is_measured=True,
    )


def _scaled(demand_percent: float, external_share: float, ratio: float) -> float:
    """The CPU when our part is multiplied by `ratio`.

    The external part is estimated cautiously. A lower limit frees no more than our rows explain: external load stays.
    A higher limit may raise everybody's load, if the others belong to our fleet.
    """
    external = demand_percent * min(EXTERNAL_SHARE_AT_MOST if ratio > 1 else STAYING_SHARE_AT_MOST, external_share)
    return external + (demand_percent - external) * ratio
