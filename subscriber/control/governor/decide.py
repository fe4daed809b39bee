"""The governor decides how many writes may run at once, and how large each may be. Pure, one step per reading.

It holds the database's CPU at a ceiling that rises with the lag (`setpoints`). A sensor's reading describes the past,
so the governor first predicts the present from it (`prediction`), then moves the limit part of the way (`step`). The
other rules say when not to (`rules`):

1. Failures of many statements, long statements, and rows that take twice their best time lower the limit at once. Each
   congestion lowers it once, however many readings show it; during an outage nothing moves. Rows that stay slow with
   CPU to spare are no congestion.
2. The limit rises only on evidence: a batch waited for the limiter, and a new reading was taken with the limit in use.
3. A stale sensor first freezes growth and later caps the limit: the pipeline never stops for lack of readings.

The cost of a row decides how many rows a statement may have (`setpoints.rows_for_cost`).

Where the operator chose no sensor, the limit grows from the smallest while the times of our own statements do not rise
with it (`own_times`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from subscriber.control.governor.memory import (
    CONGESTED_RATIO,
    RECOVERED_RATIO,
    REMEMBERED_SECONDS,
    RowTime,
    Work,
    remembered,
    work_between,
)
from subscriber.control.governor.own_times import OwnTimes
from subscriber.control.governor.prediction import Mean, Prediction, is_in_use, memory_seconds, predict
from subscriber.control.governor.rules import RULES, Adjustment, RuleContext
from subscriber.control.governor.setpoints import ceiling_percent, rows_for_cost, urgency_of
from subscriber.control.governor.state import Decision, GovernorOptions, GovernorState, Reason
from subscriber.control.reading import MAX_CLOCK_SKEW_SECONDS, Reading, sanitized
from subscriber.signals import LoadReading

__all__ = ["Decision", "GovernorOptions", "GovernorState", "Reason", "decide"]

STEPS: Final = frozenset({"above_ceiling", "below_ceiling", "slow_rows", "failures", "slow"})
"""Reasons after which the running mean of the error starts anew, because earlier errors belong to the limit before.
`sharing`, `quick_rows` and `fallback` move it too, but in small steps or without a reading, and keep the mean."""

SHARED_SHARE = 0.1
"""The part of the CPU that our rows must leave unexplained before we assume other users of the database."""

SHARED_SECONDS = 600.0
"""How long we assume so: as long as the least cost of a row, which is the evidence, may be remembered."""


def decide(options: GovernorOptions, state: GovernorState, reading: Reading) -> tuple[GovernorState, Decision]:
    """The next state, with the limit in it, and the decision that led there.

    The same arguments always give the same result. A reading that is not newer than the one before changes nothing.
    """
    seen = sanitized(reading)
    if seen is None or (state.taken_at is not None and seen.taken_at <= state.taken_at):
        return state, Decision(state.limit, "no_new_reading", rows_for_cost(options, state.cost, state.limit))
    load = _new_load(state, seen)
    state = _with_work(state, seen)
    if not options.has_load_signal:
        state = msgspec.structs.replace(state, own_times=state.own_times.with_second(seen, state.limit))
    prediction = None
    if load:
        state, prediction = _with_load(state, seen, load)
    urgency = urgency_of(seen.lag_seconds, options.lag_target_seconds, options.lag_max_seconds)
    context = RuleContext(
        options=options,
        state=state,
        seen=seen,
        ceiling_percent=ceiling_percent(options.cpu_target_percent, options.cpu_max_percent, urgency),
        load=load,
        prediction=prediction,
    )
    adjustment = next(found for rule in RULES if (found := rule(context)) is not None)
    limit = min(options.limit_at_most, max(options.limit_at_least, adjustment.limit))
    adjustment = Adjustment(limit, adjustment.reason)
    return _after(context, adjustment), _decision(context, adjustment, urgency)


def _new_load(state: GovernorState, seen: Reading) -> LoadReading | None:
    """The sensor's reading, if it is newer than at the last decision and its window is within our memory.

    A reading that is older than the last by more than the clock skew is new again: a clock was set back, and the
    governor must not ignore the sensor from then on.
    """
    load, last = seen.load, state.load_taken_at
    if load is None or seen.load_age_seconds + load.window_seconds > REMEMBERED_SECONDS:
        return None
    is_new = last is None or load.taken_at > last or load.taken_at < last - MAX_CLOCK_SKEW_SECONDS
    return load if is_new else None


def _with_work(state: GovernorState, seen: Reading) -> GovernorState:
    """The state with the work and the row time of this reading.

    Below one the limiter alternates between a write and a cool-down, and one second sees either: if batches waited for
    it, its mean use is the limit itself.
    """
    is_cycling = seen.limit_reached and state.limit < 1
    seconds = 1.0 if state.taken_at is None else seen.taken_at - state.taken_at
    succeeded = max(seen.statements, int(seen.statement_seconds is not None))
    work = Work(
        ended_at=seen.taken_at,
        seconds=seconds,
        used=seen.concurrency_used,
        long_run_used=state.limit if is_cycling else seen.concurrency_used,
        limit=state.limit,
        rows_per_second=seen.rows_per_second,
    )
    return msgspec.structs.replace(
        state,
        taken_at=seen.taken_at,
        past=remembered(state.past, work),
        outcomes=state.outcomes.with_second(seen.failures, succeeded, seconds),
        row_time=state.row_time.with_statements(seen.statement_seconds, seen.rows_per_statement, seen.taken_at),
        load_received_at=seen.taken_at if state.load_received_at is None else state.load_received_at,
        was_reached=state.was_reached or seen.limit_reached,
    )


def _with_load(state: GovernorState, seen: Reading, load: LoadReading) -> tuple[GovernorState, Prediction]:
    """The state with a sensor's reading, matched to the work of its window, and the CPU predicted for now."""
    end = seen.taken_at - seen.load_age_seconds
    span = work_between(state.past, end - load.window_seconds, end)
    ratio, mean = state.row_time.ratio, None
    if span is not None:
        memory = memory_seconds(span.limit, state.row_time.statement_seconds)
        # Averaged with idle seconds, the first busy ones would look as if the limit had hardly been used.
        before = state.usage_mean if is_in_use(state.usage_mean) == is_in_use(span) else Mean()
        mean = before.with_reading(load.cpu_percent, span, load.window_seconds, memory)
        cost = state.cost.with_reading(load.cpu_percent, span, load.window_seconds, seen.taken_at)
        state = msgspec.structs.replace(state, usage_mean=mean, cost=cost)
    return state, predict(mean, state.cost, ratio, state.limit, load.cpu_percent)


def _after(context: RuleContext, adjustment: Adjustment) -> GovernorState:
    """The state after this decision."""
    state, now = context.state, context.seen.taken_at
    is_unavailable = context.seen.database_unavailable
    is_slow = (context.seen.statement_seconds or 0) >= context.options.slow_statement_seconds
    row_time = _row_time_after(context)
    ratio = row_time.ratio
    state = msgspec.structs.replace(
        state,
        limit=adjustment.limit,
        row_time=row_time,
        was_unavailable=is_unavailable,
        trouble_at=now if context.is_failing or is_unavailable or is_slow else state.trouble_at,
        cut_at=now if adjustment.reason in {"failures", "slow"} else state.cut_at,
        slow_rows_at=now if adjustment.reason == "slow_rows" else state.slow_rows_at,
        own_times=_own_times_after(context, adjustment),
        is_congested=(ratio >= CONGESTED_RATIO and context.is_used) or (state.is_congested and ratio > RECOVERED_RATIO),
    )
    if context.load is None:
        return state
    return msgspec.structs.replace(
        state,
        load_taken_at=context.load.taken_at,
        load_received_at=now,
        window_seconds=context.load.window_seconds,
        was_reached=False,
        mean_error_percent=context.confirmed_percent if adjustment.reason not in STEPS else 0.0,
        shared_until=now + SHARED_SECONDS if _is_shared(context) else state.shared_until,
        trusted_limit=adjustment.limit,
    )


def _own_times_after(context: RuleContext, adjustment: Adjustment) -> OwnTimes:
    """The times of our own statements, which begin anew under another limit."""
    own, was, now = context.state.own_times, context.limit, context.seen.taken_at
    if context.options.has_load_signal:
        return own
    if adjustment.reason == "slow_rows":
        return own.with_cut(adjustment.limit, was, now)
    return own if adjustment.limit == was else own.with_limit(adjustment.limit, now)


def _row_time_after(context: RuleContext) -> RowTime:
    """The time of a row, with this second as its best if rows have become dearer for good."""
    seen = context.seen
    if not context.is_new_normal:
        return context.state.row_time
    return RowTime().with_statements(seen.statement_seconds, seen.rows_per_statement, seen.taken_at)


def _is_shared(context: RuleContext) -> bool:
    """Whether the reading shows other users: CPU that our rows do not explain, or load before our first write."""
    assert context.load is not None
    assert context.prediction is not None
    if context.state.load_taken_at is None:
        return context.load.cpu_percent > context.ceiling_percent / 2
    return context.state.cost.external_share(context.state.cost.cost_mean) > SHARED_SHARE


def _decision(context: RuleContext, adjustment: Adjustment, urgency: float) -> Decision:
    """The decision with its evidence."""
    prediction, state = context.prediction, context.state
    return Decision(
        limit=adjustment.limit,
        reason=adjustment.reason,
        batch_rows=rows_for_cost(context.options, state.cost, adjustment.limit),
        ceiling_percent=context.ceiling_percent if context.options.has_load_signal else None,
        urgency=urgency,
        cpu_percent=context.load.cpu_percent if context.load else None,
        predicted_percent=prediction.cpu_percent if prediction else None,
        external_percent=prediction.external_percent if prediction else None,
        row_time_ratio=(state.row_time if context.options.has_load_signal else state.own_times).ratio,
        load_age_seconds=context.seen.load_age_seconds if context.seen.load else None,
    )
