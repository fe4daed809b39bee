"""The rules of the governor, in their order: the first rule with a result decides. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from subscriber.control.governor.memory import CONGESTED_RATIO, RECOVERED_RATIO
from subscriber.control.governor.own_times import lowered, raised
from subscriber.control.governor.prediction import SATURATED_PERCENT, USED_SHARE_AT_LEAST, Prediction
from subscriber.control.governor.state import GovernorOptions, GovernorState, Reason
from subscriber.control.governor.step import (
    DEAD_BAND_PERCENT,
    confirmed_error,
    needs_step,
    shared,
    stepped_down,
    stepped_up,
)
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading

FAILURES_FACTOR = 0.5
SLOW_FACTOR = 0.7

FAILED_SHARE = 0.05
"""Failures are evidence against the limit where one statement in twenty fails. A single deadlock among hundreds of
commits is not, and among a handful it is."""

CALM_SECONDS = 5.0
"""After failures or slow statements: no growth, and no second cut. Statements in progress at the cut need time to end,
or one congestion would cause a cut every second."""

CONGESTED_FACTOR_AT_LEAST = 0.25
"""The smallest factor of one cut for slow rows."""

STALE_SECONDS = 15.0
STALE_WINDOWS = 3
"""How long a sensor may bring nothing new: a few of its windows, and never less than one lost request takes."""

FALLBACK_AFTER = 4
"""So many times that long, and the fallback begins: after a minute for a sensor with a period of a second."""

FALLBACK_SHARE = 0.5
FALLBACK_LIMIT = 1.0
"""The cap during the fallback: half of the limit at the last reading, so that an unseen neighbor of our own size finds
capacity; one writer if there has been no reading."""

FALLBACK_SLOW_RATIO = 1.5
FALLBACK_DOWN = 0.9
FALLBACK_UP = 1.02
"""Factors per second while rows are slow, or quick while batches wait: the limit doubles in half a minute."""


class Adjustment(NamedTuple):
    """The new limit, before its bounds apply."""

    limit: float
    reason: Reason


class RuleContext(msgspec.Struct, frozen=True):
    """The input of a rule."""

    options: GovernorOptions
    state: GovernorState
    """The state after the reading before, with the work and the row time of this one."""
    seen: Reading
    ceiling_percent: float
    load: LoadReading | None
    """The sensor's reading, if it is new."""
    prediction: Prediction | None
    """From that reading."""

    @property
    def limit(self) -> float:
        """The limit in force."""
        return self.state.limit

    @property
    def aim_percent(self) -> float:
        """The target: so far below the ceiling that the dead band ends at the ceiling."""
        return self.ceiling_percent - DEAD_BAND_PERCENT

    @property
    def error_percent(self) -> float:
        """How far the prediction is above the target."""
        return self.prediction.cpu_percent - self.aim_percent if self.prediction else 0.0

    @property
    def confirmed_percent(self) -> float:
        """The running mean of that error."""
        if self.load is None:
            return self.state.mean_error_percent
        return confirmed_error(self.state.mean_error_percent, self.error_percent, self.load.window_seconds)

    @property
    def is_used(self) -> bool:
        """Whether the limit is what limits us, or nearly."""
        return self.seen.limit_reached or self.seen.concurrency_used >= USED_SHARE_AT_LEAST * self.limit

    @property
    def is_failing(self) -> bool:
        """Whether statements fail now, and not just a few of many."""
        return self.seen.failures > 0 and self.state.outcomes.failed_share >= FAILED_SHARE

    @property
    def is_new_normal(self) -> bool:
        """Whether slow rows are the new normal, and no congestion that the limit causes.

        A window that began after the cut shows the limit in use and the CPU below the target, and rows are slow all the
        same: something else than the limit made them dearer.
        """
        if self.load is None or self.prediction is None or self.seen.statement_seconds is None:
            return False
        has_headroom = self.prediction.is_measured and max(self.load.cpu_percent, self.prediction.cpu_percent) < min(
            self.aim_percent, SATURATED_PERCENT
        )
        cut_at = self.state.slow_rows_at
        return (
            self.state.is_congested
            and has_headroom
            and self.is_after(cut_at, CALM_SECONDS)
            and self.has_reading_since(cut_at)
        )

    def is_after(self, moment: float | None, seconds: float) -> bool:
        """Whether so much time has passed since `moment`; None never was."""
        return moment is None or self.seen.taken_at - moment >= seconds

    def has_reading_since(self, moment: float | None) -> bool:
        """Whether the sensor's window began after `moment`."""
        if moment is None or self.load is None:
            return moment is None
        return self.seen.taken_at - self.seen.load_age_seconds - self.load.window_seconds >= moment


def after_failures(context: RuleContext) -> Adjustment | None:
    """Failures halve the limit, at most once in CALM_SECONDS while they continue; during an outage the limit stays.

    The failure that begins an outage may be in the first reading of the outage, and lowers the limit as well.
    """
    if context.seen.database_unavailable and (context.state.was_unavailable or not context.seen.failures):
        return Adjustment(context.limit, "outage")
    if not context.is_failing:
        return None
    if context.is_after(context.state.cut_at, CALM_SECONDS):
        return Adjustment(context.limit * FAILURES_FACTOR, "failures")
    return Adjustment(context.limit, "braked")


def after_slow_statements(context: RuleContext) -> Adjustment | None:
    """A statement that comes near its timeout lowers the limit, whatever made it slow."""
    seconds = context.seen.statement_seconds
    if seconds is None or seconds < context.options.slow_statement_seconds:
        return None
    if context.is_after(context.state.cut_at, CALM_SECONDS):
        return Adjustment(context.limit * SLOW_FACTOR, "slow")
    return Adjustment(context.limit, "braked")


def without_sensor(context: RuleContext) -> Adjustment | None:
    """Source `none`: from the smallest limit up while rows stay as quick as they were, and down while they do not."""
    if context.options.has_load_signal:
        return None
    options, limit, own = context.options, context.limit, context.state.own_times
    is_calm = context.is_after(context.state.trouble_at, CALM_SECONDS)
    is_congested = own.was_reached and own.is_congested_at(limit, context.seen.taken_at)
    if is_congested and is_calm and options.limit_at_least < options.limit_at_most:
        return Adjustment(lowered(limit, own.ratio), "slow_rows")
    if limit >= options.limit_at_most:
        return Adjustment(limit, "steady")
    if not is_calm or own.is_slow_at(limit):
        return Adjustment(limit, "braked")
    if own.was_reached and own.is_evidence_at(limit):
        return Adjustment(raised(limit), "quick_rows")
    return Adjustment(limit, "unmeasured" if own.was_reached else "not_needed")


def latency_brake(context: RuleContext) -> Adjustment | None:
    """Rows that take twice their best time lower the limit by that ratio: before any sensor reports it, once per event.

    An exception is a limiter that is hardly used: a limit that delays no write cannot be what makes rows slow.
    """
    ratio = context.state.row_time.ratio
    if ratio < CONGESTED_RATIO or context.state.is_congested or not context.is_used:
        return None
    return Adjustment(context.limit * max(CONGESTED_FACTOR_AT_LEAST, 1 / ratio), "slow_rows")


def cpu_feedback(context: RuleContext) -> Adjustment | None:
    """One step per reading: down without condition, up only on evidence."""
    if context.prediction is None or context.load is None:
        return None
    no_growth = _reason_not_to_grow(context)
    if needs_step(context.error_percent, context.confirmed_percent):
        if context.error_percent > 0:
            return Adjustment(stepped_down(context.limit, context.prediction, context.aim_percent), "above_ceiling")
        return no_growth or Adjustment(_stepped_up(context), "below_ceiling")
    if context.state.shared_until is None or context.seen.taken_at > context.state.shared_until:
        return Adjustment(context.limit, "steady")
    shared_limit = shared(context.limit, context.options, context.confirmed_percent, context.load.window_seconds)
    if shared_limit == context.limit:
        return Adjustment(shared_limit, "steady")
    return no_growth if no_growth and shared_limit > context.limit else Adjustment(shared_limit, "sharing")


def on_stale_sensor(context: RuleContext) -> Adjustment:
    """No new reading: wait, then freeze growth, then follow the time of rows under a cap."""
    stale_seconds = max(STALE_SECONDS, STALE_WINDOWS * context.state.window_seconds)
    if not context.is_after(context.state.load_received_at, stale_seconds):
        return Adjustment(context.limit, "no_new_reading")
    if not context.is_after(context.state.load_received_at, FALLBACK_AFTER * stale_seconds):
        return Adjustment(context.limit, "signal_lost")
    return Adjustment(_fallback(context), "fallback")


RULES: Final = (after_failures, after_slow_statements, without_sensor, latency_brake, cpu_feedback, on_stale_sensor)


def _stepped_up(context: RuleContext) -> float:
    assert context.prediction is not None
    return stepped_up(context.limit, context.prediction, context.aim_percent, context.state.cost.cost_mean.cpu_percent)


def _reason_not_to_grow(context: RuleContext) -> Adjustment | None:
    assert context.load is not None
    assert context.prediction is not None
    if not context.state.was_reached:
        return Adjustment(context.limit, "not_needed")
    is_slow = context.state.row_time.ratio > CONGESTED_RATIO and not context.is_new_normal
    if not context.is_after(context.state.trouble_at, CALM_SECONDS) or is_slow:
        return Adjustment(context.limit, "braked")
    if not (context.prediction.is_measured and context.has_reading_since(context.state.trouble_at)):
        return Adjustment(context.limit, "unmeasured")
    if context.load.cpu_percent >= context.ceiling_percent:
        return Adjustment(context.limit, "at_ceiling")
    return None


def _fallback(context: RuleContext) -> float:
    trusted = context.state.trusted_limit
    cap = FALLBACK_LIMIT if trusted is None else FALLBACK_SHARE * trusted
    ratio = context.state.row_time.ratio
    if ratio >= FALLBACK_SLOW_RATIO:
        return min(cap, context.limit * FALLBACK_DOWN)
    if (
        context.seen.limit_reached
        and ratio < RECOVERED_RATIO
        and context.is_after(context.state.trouble_at, CALM_SECONDS)
    ):
        return min(cap, context.limit * FALLBACK_UP)
    return min(cap, context.limit)
