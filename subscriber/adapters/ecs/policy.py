"""When the task asks ECS for scale-in protection, and when it lets go: pure, so that every order can be explained.

Protection keeps a scale-in or a deployment from ending a task in the middle of its work. Ours survives its end well (it
drains and hands back within the stop budget), so protection must never cost more than it gives: a task of a queue
that never runs empty would be protected for ever and hold up every deployment. Hence a spell of work is protected once
and for at most a quarter of an hour; after that the task is like any other until it has been idle.

    idle ──work for 5 s──▶ protected ──no work for 30 s, or 15 min of it──▶ idle
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

from subscriber.adapters.ecs.answers import Denied, Granted

BUSY_AFTER_SECONDS = 5.0
"""A spell shorter than this is over before anybody could end it; the call would be noise."""
IDLE_AFTER_SECONDS = 30.0
"""Work that pauses for less is the same spell: protection must not flutter with every batch."""
SPELL_AT_MOST_SECONDS = 900.0
"""The longest that one spell holds up a deployment."""
EXPIRES_IN_MINUTES = 10
"""ECS lets go by itself after this (1 to 2,880, UpdateTaskProtection): a task that hangs is not protected for long."""
RENEW_BEFORE_SECONDS = 300.0
"""Half of that: a renewal has five minutes to succeed."""
RETRY_SECONDS = 10.0
RETRY_AT_MOST_SECONDS = 300.0
LASTING_RETRY_SECONDS = 900.0
"""Somebody may have mended the role or the service meanwhile."""

Order: TypeAlias = Literal["protect", "release"]


class ProtectionState(msgspec.Struct, frozen=True):
    """What is known; times are seconds of the event loop's clock."""

    spell_since: float = math.inf
    """Since when there is work without a longer pause; infinite: there is none."""
    work_seen_at: float = -math.inf
    protected_until: float = -math.inf
    """Until then ECS has promised."""
    possible_until: float = -math.inf
    """Until then the task may be protected, for all we know: a request without an answer may have come through."""
    retry_at: float = -math.inf
    failures: int = 0


def looked(state: ProtectionState, now: float, *, is_at_work: bool) -> ProtectionState:
    """The state after a look at the line."""
    if is_at_work:
        since = min(state.spell_since, now)
        return msgspec.structs.replace(state, spell_since=since, work_seen_at=now)
    if now - state.work_seen_at > IDLE_AFTER_SECONDS:
        return msgspec.structs.replace(state, spell_since=math.inf)
    return state


def is_wanted(state: ProtectionState, now: float) -> bool:
    """Whether the task should be protected."""
    worked_seconds = state.work_seen_at - state.spell_since
    return worked_seconds >= BUSY_AFTER_SECONDS and now - state.spell_since <= SPELL_AT_MOST_SECONDS


def order_at(state: ProtectionState, now: float) -> Order | None:
    """What is to be asked of ECS now; None: nothing."""
    if now < state.retry_at:
        return None
    if is_wanted(state, now):
        return "protect" if state.protected_until - now < RENEW_BEFORE_SECONDS else None
    return "release" if state.possible_until > now else None


def answered(state: ProtectionState, asked_at: float, order: Order, answer: Granted | Denied) -> ProtectionState:
    """The state after an order that was given at `asked_at` has been answered."""
    expires_at = asked_at + EXPIRES_IN_MINUTES * 60
    if isinstance(answer, Granted):
        until = expires_at if order == "protect" else -math.inf
        return msgspec.structs.replace(
            state, protected_until=until, possible_until=until, retry_at=-math.inf, failures=0
        )
    pause = LASTING_RETRY_SECONDS if answer.is_lasting else backoff_seconds(state.failures)
    may_have_been_heard = order == "protect" and not answer.is_lasting
    return msgspec.structs.replace(
        state,
        possible_until=expires_at if may_have_been_heard else state.possible_until,
        retry_at=asked_at + pause,
        failures=state.failures + 1,
    )


def backoff_seconds(failures: int) -> float:
    """The pause after so many failures before this one: 10 s, doubled each time, five minutes at most."""
    return min(RETRY_AT_MOST_SECONDS, RETRY_SECONDS * 2.0 ** min(failures, 10))
