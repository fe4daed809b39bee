"""How late rows are: what each queue has shown lately, and what is known while it shows nothing. Pure.

Three ages make the lag of a queue; the largest counts, and of several queues the worst:

- **of what arrives:** the youngest message of the last second shows how far behind the end of the queue we are.
- **of what is held:** the oldest message in the process grows older by a second a second while the database stands
  still. A message counts only while nothing that arrived well after it has been stored: one that is held for a reason
  of its own makes nothing else late.
- **of what waits:** while nothing is asked of the queue, in a pause or an outage or for lack of capacity, messages sent
  since the newest one known may be waiting. That age is an upper bound. It is 0 only if the queue counts no message.

A poll that is open and brings nothing shows an empty queue, because a long poll ends with the first message. Two things
contradict that: the queue stalls (`alarms.detect_stall`), or its polls fail.
"""

from __future__ import annotations

import math

import msgspec

from subscriber.control.backlog import QueueCounts

COUNT_DELAY_SECONDS = 60.0
"""A count of zero says nothing for so long after messages were seen to wait: counts become accurate about a minute
after the last change (SQS API reference, GetQueueAttributes)."""

OVERTAKEN_SECONDS = 10.0
"""A held message no longer counts when one that arrived so much later has been stored: concurrent statements of a
healthy pipeline overtake each other by less."""


class QueueSecond(msgspec.Struct, frozen=True):
    """What one queue and its messages showed in the last second. Times are of the event loop's clock."""

    youngest_seconds: float | None = None
    """Age, on arrival, of the youngest message that shows lag; None: none came."""
    oldest_held_at: float = math.inf
    """When the oldest held message was sent; infinite: none is held, or what is held has been overtaken."""
    is_asked: bool = True
    """Whether a poll is open, and the one before did not fail."""
    is_quiet: bool = True
    """Whether the polls of the last moments show an empty queue."""
    emptied_at: float = -math.inf
    """When the newest empty answer arrived."""
    full_at: float = -math.inf
    """When the newest full answer arrived."""
    is_stalled: bool = False
    """Whether the queue holds messages and delivers none."""
    counts: QueueCounts | None = None
    """None: unknown."""


class QueueLag(msgspec.Struct, frozen=True):
    """What is remembered of one queue from one second to the next."""

    received_until: float
    """Messages sent before that moment have been received, as far as is known; loop's clock."""
    believed_from: float = -math.inf
    """A count of zero is believed if it was taken then or later."""
    seconds: float = 0.0
    """The lag."""


def lag_after(before: QueueLag, seen: QueueSecond, now: float) -> QueueLag:
    """The lag of one queue at `now`, with what is remembered for the next second."""
    doubted_until = seen.full_at + COUNT_DELAY_SECONDS
    if not seen.is_asked and seen.oldest_held_at < math.inf:
        doubted_until = now + COUNT_DELAY_SECONDS  # what is held may be released, and is not counted before
    believed_from = max(before.believed_from, doubted_until)
    is_empty = _is_counted_empty(seen.counts, believed_from)
    received_until = _received_until(before.received_until, seen)
    if seen.youngest_seconds is not None:
        received_until = now - seen.youngest_seconds
        waiting_seconds = seen.youngest_seconds
    else:
        waiting_seconds = 0.0 if is_empty or (seen.is_quiet and not seen.is_stalled) else now - received_until
    if is_empty and seen.counts is not None and not seen.is_asked:
        received_until = max(received_until, seen.counts.taken_at)
    return QueueLag(received_until, believed_from, max(0.0, waiting_seconds, now - seen.oldest_held_at))


def _is_counted_empty(counts: QueueCounts | None, believed_from: float) -> bool:
    return counts is not None and counts.visible == 0 and counts.taken_at >= believed_from


def _received_until(before: float, seen: QueueSecond) -> float:
    """Up to which moment of sending messages have been received, without any that came in this second.

    What is held while nothing is asked of the queue may be released, and then waits there again.
    """
    is_contradicted = seen.is_stalled or (seen.counts is not None and seen.counts.visible > 0)
    until = before if is_contradicted else max(before, seen.emptied_at)
    return until if seen.is_asked else min(until, seen.oldest_held_at)
