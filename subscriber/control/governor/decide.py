"""The governor: from what was seen to how many writes may be at work, and how large each. Pure, one step per reading.

The database's CPU is held at a ceiling that rises with lateness (`ceiling`). A reading speaks of the past, so it is
first carried to today (`prediction`); the limit then goes part of the way (`step`). The rest of the law says when
not to (`rules`):

1. What hurts brakes at once: failures, statements that take too long, rows that take twice their best. Each
   congestion is cut once, however many readings tell of it; during an outage nothing moves.
2. Up only on evidence: a batch had to wait for the limiter, and a new reading shows the limit in use.
3. A sensor that falls silent freezes growth, and after a while caps the limit: the line never stops for its sake.

How many rows a statement may have follows from what a row costs the database (`batch_size`).

Where no sensor was chosen, the limit is the largest allowed, braked by time and errors; it comes back when they end.
"""

from __future__ import annotations

from typing import Final

import msgspec

from subscriber.control.governor.memory import (
    CONGESTED_RATIO,
    RECOVERED_RATIO,
    REMEMBERED_SECONDS,
    Work,
    remembered,
    work_between,
)
from subscriber.control.governor.prediction import Mean, Prediction, is_in_use, memory_seconds, predict
from subscriber.control.governor.rules import RULES, Adjustment, RuleContext
from subscriber.control.governor.setpoints import ceiling_percent, rows_at_most, urgency_of
from subscriber.control.governor.state import Decision, GovernorOptions, GovernorState, Reason
from subscriber.control.reading import Reading, sound
from subscriber.signals import CLOCKS_DIFFER_SECONDS, LoadReading

__all__ = ["Decision", "GovernorOptions", "GovernorState", "Reason", "decide"]

STEPS: Final = frozenset({"above_ceiling", "below_ceiling", "slow_rows", "failures", "slow"})
"""What makes past errors those of another limit."""

SHARED_SHARE = 0.1
"""So much of the CPU must be unexplained before others are taken to be there."""

SHARED_SECONDS = 600.0
"""How long that is believed: as long as the least cost of a row, which shows it, may be remembered."""


def decide(options: GovernorOptions, state: GovernorState, reading: Reading) -> tuple[GovernorState, Decision]:
    """The next state, with the limit in it, and the decision that led there.

    The same arguments always give the same answer. A reading that is not newer than the one before changes nothing.
    """
    seen = sound(reading)
    if seen is None or (state.taken_at is not None and seen.taken_at <= state.taken_at):
        return state, Decision(state.limit, "no_news", rows_at_most(options, state.cost, state.limit))
    load = _news(state, seen)
    state = _with_work(state, seen)
    prediction = None
    if load:
        state, prediction = _with_load(state, seen, load)
    urgency = urgency_of(seen.lag_seconds, options.lag_target_seconds, options.lag_max_seconds)
    case = RuleContext(
        options=options,
        state=state,
        seen=seen,
        ceiling_percent=ceiling_percent(options.cpu_target_percent, options.cpu_max_percent, urgency),
        load=load,
        prediction=prediction,
    )
    move = next(move for rule in RULES if (move := rule(case)) is not None)
    limit = min(options.limit_at_most, max(options.limit_at_least, move.limit))
    return _after(case, Adjustment(limit, move.reason)), _decision(case, Adjustment(limit, move.reason), urgency)


def _news(state: GovernorState, seen: Reading) -> LoadReading | None:
    """What the sensor has said since the last decision; a window we cannot remember is no news.

    One that is older than the last by more than two clocks may differ is news again: a clock was set back, and must
    not silence the sensor.
    """
    load, last = seen.load, state.load_taken_at
    if load is None or seen.load_age_seconds + load.window_seconds > REMEMBERED_SECONDS:
        return None
    is_news = last is None or load.taken_at > last or load.taken_at < last - CLOCKS_DIFFER_SECONDS
    return load if is_news else None


def _with_work(state: GovernorState, seen: Reading) -> GovernorState:
    """The state with the work and the row time of this reading.

    Below one a limiter writes and rests in turn, and a second sees the one or the other: if batches waited for it, what
    it used on average is the limit itself.
    """
    is_cycling = seen.limit_reached and state.limit < 1
    work = Work(
        ended_at=seen.taken_at,
        seconds=1.0 if state.taken_at is None else seen.taken_at - state.taken_at,
        used=seen.concurrency_used,
        expected=state.limit if is_cycling else seen.concurrency_used,
        limit=state.limit,
        rows_per_second=seen.rows_per_second,
    )
    return msgspec.structs.replace(
        state,
        taken_at=seen.taken_at,
        past=remembered(state.past, work),
        row_time=state.row_time.with_statements(seen.statement_seconds, seen.rows_per_statement, seen.taken_at),
        news_at=seen.taken_at if state.news_at is None else state.news_at,
        was_reached=state.was_reached or seen.limit_reached,
    )


def _with_load(state: GovernorState, seen: Reading, load: LoadReading) -> tuple[GovernorState, Prediction]:
    """The state with a sensor's reading, laid over the work in force when it was taken; and that carried to today."""
    end = seen.taken_at - seen.load_age_seconds
    span = work_between(state.past, end - load.window_seconds, end)
    ratio, mean = state.row_time.ratio, None
    if span is not None:
        memory = memory_seconds(span.limit, state.row_time.statement_seconds)
        # Idle seconds would make the first busy ones look as if the limit had hardly been used.
        before = state.mean if is_in_use(state.mean) == is_in_use(span) else Mean()
        mean = before.with_reading(load.cpu_percent, span, load.window_seconds, memory)
        cost = state.cost.with_reading(load.cpu_percent, span, load.window_seconds, seen.taken_at)
        state = msgspec.structs.replace(state, mean=mean, cost=cost)
    return state, predict(mean, state.cost, ratio, state.limit, load.cpu_percent)


def _after(case: RuleContext, move: Adjustment) -> GovernorState:
    """What is remembered of this decision."""
    state, now = case.state, case.seen.taken_at
    is_failing = case.seen.failures > 0 or (state.is_failing and case.seen.statement_seconds is None)
    is_slow = (case.seen.statement_seconds or 0) >= case.options.slow_statement_seconds
    ratio = state.row_time.ratio
    state = msgspec.structs.replace(
        state,
        limit=move.limit,
        is_failing=is_failing,
        hurt_at=now if is_failing or is_slow else state.hurt_at,
        cut_at=now if move.reason in {"failures", "slow"} else state.cut_at,
        is_congested=(ratio >= CONGESTED_RATIO and case.is_used) or (state.is_congested and ratio > RECOVERED_RATIO),
    )
    if case.load is None:
        return state
    return msgspec.structs.replace(
        state,
        load_taken_at=case.load.taken_at,
        news_at=now,
        window_seconds=case.load.window_seconds,
        was_reached=False,
        error_percent=case.confirmed_percent if move.reason not in STEPS else 0.0,
        shared_until=now + SHARED_SECONDS if _is_shared(case) else state.shared_until,
        trusted_limit=move.limit,
    )


def _is_shared(case: RuleContext) -> bool:
    """Whether the reading shows that we are not alone: what our rows do not explain, or load before our first write."""
    assert case.load is not None
    assert case.prediction is not None
    if case.state.load_taken_at is None:
        return case.load.cpu_percent > case.ceiling_percent / 2
    return case.state.cost.external_share(case.state.cost.mean) > SHARED_SHARE


def _decision(case: RuleContext, move: Adjustment, urgency: float) -> Decision:
    """The answer with its evidence."""
    prediction = case.prediction
    return Decision(
        limit=move.limit,
        reason=move.reason,
        batch_rows=rows_at_most(case.options, case.state.cost, move.limit),
        ceiling_percent=case.ceiling_percent if case.options.has_load_signal else None,
        urgency=urgency,
        cpu_percent=case.load.cpu_percent if case.load else None,
        predicted_percent=prediction.cpu_percent if prediction else None,
        external_percent=prediction.external_percent if prediction else None,
        row_time_ratio=case.state.row_time.ratio,
        load_age_seconds=case.seen.load_age_seconds if case.seen.load else None,
    )
