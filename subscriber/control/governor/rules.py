"""The rules of the governor, in the order in which they are asked: the first that has an answer decides. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from subscriber.control.governor.memory import CONGESTED_RATIO, RECOVERED_RATIO
from subscriber.control.governor.prediction import USED_SHARE_AT_LEAST, Prediction
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
RECOVERY_FACTOR = 1.25

CALM_SECONDS = 5.0
"""After something hurt: no growth, and no second cut. Statements that were at work when the cut was made must have
had the time to end, or one congestion would be cut once per second."""

CONGESTED_FACTOR_AT_LEAST = 0.25
"""Of one cut for slow rows."""

STALE_SECONDS = 15.0
STALE_WINDOWS = 3
"""How long a sensor may say nothing: a few of its windows, and never less than what one lost request takes."""

FALLBACK_AFTER = 4
"""Silences after which it is given up for now: a minute for a sensor that speaks every second."""

FALLBACK_SHARE = 0.5
FALLBACK_LIMIT = 1.0
"""The cap without a sensor: half of the last limit it knew, so that somebody as large as we are may come unseen and
find room; one writer where it has never spoken."""

FALLBACK_SLOW_RATIO = 1.5
FALLBACK_DOWN = 0.9
FALLBACK_UP = 1.02
"""Each second that rows are slow, or are quick while batches wait: half a minute to double."""


class Adjustment(NamedTuple):
    """Where the limit goes, before its bounds."""

    limit: float
    reason: Reason


class RuleContext(msgspec.Struct, frozen=True):
    """What a rule looks at."""

    options: GovernorOptions
    state: GovernorState
    """As the reading before left it, with the work and the row time of this one."""
    seen: Reading
    ceiling_percent: float
    load: LoadReading | None
    """What is new from the sensor; None: nothing."""
    prediction: Prediction | None
    """Of that."""

    @property
    def limit(self) -> float:
        """The limit in force."""
        return self.state.limit

    @property
    def aim_percent(self) -> float:
        """A ceiling is a ceiling: what is aimed at is so far below that the dead band ends at it."""
        return self.ceiling_percent - DEAD_BAND_PERCENT

    @property
    def error_percent(self) -> float:
        """How far the prediction is above what is aimed at."""
        return self.prediction.cpu_percent - self.aim_percent if self.prediction else 0.0

    @property
    def confirmed_percent(self) -> float:
        """The same as a mean of late."""
        if self.load is None:
            return self.state.error_percent
        return confirmed_error(self.state.error_percent, self.error_percent, self.load.window_seconds)

    @property
    def is_used(self) -> bool:
        """Whether the limit is what holds us back, or nearly."""
        return self.seen.limit_reached or self.seen.concurrency_used >= USED_SHARE_AT_LEAST * self.limit

    def is_after(self, moment: float | None, seconds: float) -> bool:
        """Whether so much time has passed since a moment that may never have been."""
        return moment is None or self.seen.taken_at - moment >= seconds

    def has_reading_since(self, moment: float | None) -> bool:
        """Whether the sensor's window began after that moment."""
        if moment is None or self.load is None:
            return moment is None
        return self.seen.taken_at - self.seen.load_age_seconds - self.load.window_seconds >= moment


def after_failures(case: RuleContext) -> Adjustment | None:
    """Failures halve, once while they go on together; in an outage there is nothing more to take back."""
    if case.state.is_failing and case.seen.statement_seconds is None:
        return Adjustment(case.limit, "outage")
    if not case.seen.failures:
        return None
    if case.is_after(case.state.cut_at, CALM_SECONDS):
        return Adjustment(case.limit * FAILURES_FACTOR, "failures")
    return Adjustment(case.limit, "braked")


def after_slow_statements(case: RuleContext) -> Adjustment | None:
    """A statement that nears its timeout brakes, whatever it was that held it up."""
    seconds = case.seen.statement_seconds
    if seconds is None or seconds < case.options.slow_statement_seconds:
        return None
    if case.is_after(case.state.cut_at, CALM_SECONDS):
        return Adjustment(case.limit * SLOW_FACTOR, "slow")
    return Adjustment(case.limit, "braked")


def without_sensor(case: RuleContext) -> Adjustment | None:
    """Source `none`: what does not hurt is allowed."""
    if case.options.has_load_signal:
        return None
    if case.limit >= case.options.limit_at_most:
        return Adjustment(case.limit, "steady")
    if not case.is_after(case.state.hurt_at, CALM_SECONDS):
        return Adjustment(case.limit, "braked")
    return Adjustment(case.limit * RECOVERY_FACTOR, "recovering")


def latency_brake(case: RuleContext) -> Adjustment | None:
    """Rows that take twice their best are cut by the ratio: sooner than any sensor tells, and once per event.

    But not while the limiter is hardly used: a limit that holds nobody back cannot be what makes them slow.
    """
    ratio = case.state.row_time.ratio
    if ratio < CONGESTED_RATIO or case.state.is_congested or not case.is_used:
        return None
    return Adjustment(case.limit * max(CONGESTED_FACTOR_AT_LEAST, 1 / ratio), "slow_rows")


def cpu_feedback(case: RuleContext) -> Adjustment | None:
    """One step for one reading: down freely, up only on evidence."""
    if case.prediction is None or case.load is None:
        return None
    held = _reason_not_to_grow(case)
    if needs_step(case.error_percent, case.confirmed_percent):
        if case.error_percent > 0:
            return Adjustment(stepped_down(case.limit, case.prediction, case.aim_percent), "above_ceiling")
        return held or Adjustment(_stepped_up(case), "below_ceiling")
    if case.state.shared_until is None or case.seen.taken_at > case.state.shared_until:
        return Adjustment(case.limit, "steady")
    drawn = shared(case.limit, case.options, case.confirmed_percent, case.load.window_seconds)
    if drawn == case.limit:
        return Adjustment(drawn, "steady")
    return held if held and drawn > case.limit else Adjustment(drawn, "sharing")


def on_stale_sensor(case: RuleContext) -> Adjustment:
    """The sensor says nothing new: wait, then freeze, then live on the time of rows."""
    silence = max(STALE_SECONDS, STALE_WINDOWS * case.state.window_seconds)
    if not case.is_after(case.state.news_at, silence):
        return Adjustment(case.limit, "no_news")
    if not case.is_after(case.state.news_at, FALLBACK_AFTER * silence):
        return Adjustment(case.limit, "signal_lost")
    return Adjustment(_fallback(case), "fallback")


RULES: Final = (after_failures, after_slow_statements, without_sensor, latency_brake, cpu_feedback, on_stale_sensor)


def _stepped_up(case: RuleContext) -> float:
    assert case.prediction is not None
    return stepped_up(case.limit, case.prediction, case.aim_percent, case.state.cost.mean.cpu_percent)


def _reason_not_to_grow(case: RuleContext) -> Adjustment | None:
    assert case.load is not None
    assert case.prediction is not None
    if not case.state.was_reached:
        return Adjustment(case.limit, "not_needed")
    if not case.is_after(case.state.hurt_at, CALM_SECONDS) or case.state.row_time.ratio > CONGESTED_RATIO:
        return Adjustment(case.limit, "braked")
    if not (case.prediction.is_measured and case.has_reading_since(case.state.hurt_at)):
        return Adjustment(case.limit, "unmeasured")
    if case.load.cpu_percent >= case.ceiling_percent:
        return Adjustment(case.limit, "at_ceiling")
    return None


def _fallback(case: RuleContext) -> float:
    trusted = case.state.trusted_limit
    cap = FALLBACK_LIMIT if trusted is None else FALLBACK_SHARE * trusted
    ratio = case.state.row_time.ratio
    if ratio >= FALLBACK_SLOW_RATIO:
        return min(cap, case.limit * FALLBACK_DOWN)
    if case.seen.limit_reached and ratio < RECOVERED_RATIO and case.is_after(case.state.hurt_at, CALM_SECONDS):
        return min(cap, case.limit * FALLBACK_UP)
    return min(cap, case.limit)
