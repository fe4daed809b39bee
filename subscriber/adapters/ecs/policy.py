"""When the task asks ECS for scale-in protection, and when it releases it. Pure.

Protection keeps a scale-in or a deployment from ending a task in the middle of its work. Our task stops safely anyway
(it drains and releases its messages within the stop budget), so protection must not cost more than it gives: with a
queue that is never empty, a task would be protected forever and block every deployment. Hence a period of work is
protected once and for at most a quarter of an hour; after that the task is unprotected until it has been idle.

    idle ──work for 5 s──▶ protected ──no work for 30 s, or 15 min of it──▶ idle
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

from subscriber.adapters.ecs.answers import Denied, Granted
from subscriber.flow.backoff import Backoff

BUSY_AFTER_SECONDS = 5.0
"""A shorter period of work is over before ECS could end the task; the call would be needless."""
IDLE_AFTER_SECONDS = 30.0
"""Work that pauses for less is the same period: protection must not change with every batch."""
PERIOD_AT_MOST_SECONDS = 900.0
"""The longest that one period of work delays a deployment."""
EXPIRES_IN_MINUTES = 10
"""ECS ends the protection itself after this (1 to 2,880, UpdateTaskProtection), so a task that hangs loses it soon."""
RENEW_BEFORE_SECONDS = 300.0
"""Half of that: a renewal has five minutes to succeed."""
RETRY = Backoff(first_seconds=10.0, max_seconds=300.0, jitter=0.0)
"""Between requests that were denied for the moment."""
LASTING_RETRY_SECONDS = 900.0
"""After a denial that only an operator can end: the role or the service may have been corrected meanwhile."""

Request: TypeAlias = Literal["protect", "release"]


class ProtectionState(msgspec.Struct, frozen=True):
    """What the task knows; times are seconds of the event loop's clock."""

    working_since: float = math.inf
    """Start of the present period of work; infinite: the task is idle."""
    work_seen_at: float = -math.inf
    protected_until: float = -math.inf
    """Until then ECS has granted protection."""
    possible_until: float = -math.inf
    """Until then the task may be protected: ECS may have received a request whose answer was lost."""
    retry_at: float = -math.inf
    failures: int = 0


def observed(state: ProtectionState, now: float, *, is_at_work: bool) -> ProtectionState:
    """The state after a look at the pipeline."""
    if is_at_work:
        since = min(state.working_since, now)
        return msgspec.structs.replace(state, working_since=since, work_seen_at=now)
    if now - state.work_seen_at > IDLE_AFTER_SECONDS:
        return msgspec.structs.replace(state, working_since=math.inf)
    return state


def is_wanted(state: ProtectionState, now: float) -> bool:
    """Whether the task should be protected."""
    worked_seconds = state.work_seen_at - state.working_since
    return worked_seconds >= BUSY_AFTER_SECONDS and now - state.working_since <= PERIOD_AT_MOST_SECONDS


def request_at(state: ProtectionState, now: float) -> Request | None:
    """The request that is due now; None: none is."""
    if now < state.retry_at:
        return None
    if is_wanted(state, now):
        return "protect" if state.protected_until - now < RENEW_BEFORE_SECONDS else None
    return "release" if state.possible_until > now else None


def answered(state: ProtectionState, asked_at: float, request: Request, answer: Granted | Denied) -> ProtectionState:
    """The state after the answer to a request that was made at `asked_at`."""
    expires_at = asked_at + EXPIRES_IN_MINUTES * 60
    if isinstance(answer, Granted):
        until = expires_at if request == "protect" else -math.inf
        return msgspec.structs.replace(
            state, protected_until=until, possible_until=until, retry_at=-math.inf, failures=0
        )
    pause = LASTING_RETRY_SECONDS if answer.is_lasting else RETRY.delay_seconds(state.failures + 1, chance=1.0)
    may_have_arrived = request == "protect" and not answer.is_lasting
    return msgspec.structs.replace(
        state,
        possible_until=expires_at if may_have_arrived else state.possible_until,
        retry_at=asked_at + pause,
        failures=state.failures + 1,
    )
