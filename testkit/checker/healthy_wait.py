"""How long healthy messages waited beside a fault: from the receive by a daemon to the commit of their last row.

A message is *healthy* if all of it can be read, it has a row, and the fault concerns none of its rows: the database
was not made to reject one of them, and no other session kept one locked. What is not committed at the end is no wait;
the history checker reports it.

The wait begins with the first receive: a message that was released and received again has waited all the time. Only
where a fault takes messages away from the daemon (it is killed or terminated, or the response to the receive is lost)
it begins with the last receive before the commit, since nothing could be done about the message before. While a fault
stops every write nobody can store anything, so that time is taken out; it ends when the fault ends, not when the
daemon has noticed that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from testkit.checker.commits import Commits
from testkit.checker.evidence import DeliveryRecord, ExpectedMessage, QueueRecord, Version, version_of


class Span(msgspec.Struct, frozen=True, order=True):
    """A span of time in Unix seconds."""

    begins_at: float
    ends_at: float


class Beside(msgspec.Struct, frozen=True):
    """What the faults of a run are known to do to messages."""

    concerned: frozenset[Version] = frozenset()
    """Rows that the faults refuse or lock."""
    stops: tuple[Span, ...] = ()
    """When no write could succeed."""
    takes_messages: bool = False
    """Whether received messages are taken away from the daemon."""


class HealthyWait(msgspec.Struct, frozen=True):
    """The waits of the healthy messages of a run."""

    longest_seconds: float
    """0 where no message is healthy."""
    exceeded: int
    """How many messages waited longer than the bound."""
    message_id: str
    """The one that waited longest."""


def bound_seconds(write_timeout_seconds: float) -> float:
    """The longest that a healthy message may wait: two statements and one second.

    The first statement is the one that fails for the broken row; the second is the time that all levels of halving
    have together (`subscriber/pipeline/bisection.py`); the second of time is for batching, permits and answers.
    """
    return 2 * write_timeout_seconds + 1.0


def healthy_wait(
    sent: Iterable[ExpectedMessage], queue: QueueRecord, commits: Commits, beside: Beside, bound: float
) -> HealthyWait:
    """The longest wait of a healthy message, and how many waited longer than `bound` seconds."""
    stops = merged(beside.stops)
    waits = [
        (waited, message.message_id)
        for message in sent
        if is_healthy(message, beside.concerned)
        and (delivery := queue.deliveries.get(message.message_id)) is not None
        and (waited := _wait(message, delivery, commits, stops, takes_messages=beside.takes_messages)) is not None
    ]
    longest, message_id = max(waits, default=(0.0, ""))
    return HealthyWait(longest, sum(seconds > bound for seconds, _ in waits), message_id)


def is_healthy(message: ExpectedMessage, concerned: frozenset[Version]) -> bool:
    """Whether no fault is about this message: it is readable, has rows, and none of them is refused or locked."""
    return message.is_readable and bool(message.events) and concerned.isdisjoint(map(version_of, message.events))


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time as spans that do not overlap, in order."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begins_at <= found[-1].ends_at:
            found[-1] = Span(found[-1].begins_at, max(found[-1].ends_at, span.ends_at))
        else:
            found.append(span)
    return tuple(found)


def seconds_outside(stops: Sequence[Span], begins_at: float, ends_at: float) -> float:
    """The seconds between two moments that lie in none of these spans, which do not overlap; 0 if they are reversed."""
    inside = sum(max(0.0, min(stop.ends_at, ends_at) - max(stop.begins_at, begins_at)) for stop in stops)
    return max(0.0, ends_at - begins_at - inside)


def _wait(
    message: ExpectedMessage,
    delivery: DeliveryRecord,
    commits: Commits,
    stops: Sequence[Span],
    *,
    takes_messages: bool,
) -> float | None:
    """Seconds until all rows were committed; None where one was not, or the message was never received."""
    moments = [commits.committed_at(event) for event in message.events]
    committed = [moment for moment in moments if moment is not None]
    if len(committed) < len(moments) or not delivery.received_at:
        return None
    committed_at = max(committed)
    earlier = [moment for moment in delivery.received_at if moment <= committed_at]
    received_at = max(earlier) if takes_messages and earlier else min(delivery.received_at)
    return seconds_outside(stops, received_at, committed_at)
