"""Whether the fleet keeps up, from the counts of its queues alone: what a process that receives nothing can see. Pure.

SQS tells how many messages wait, but not how old they are: the age of the oldest is a CloudWatch metric, minutes late.
A count by itself says little, since a busy fleet that is on time has more messages waiting than a slow one that is
late. So what counts is growth: as long as no more than twice the least count of the job wait, the fleet keeps up. Once
more do, what is above that has come since, so it waits no longer than since the fleet last kept up.
"""

from __future__ import annotations

from typing import Final

import msgspec

ALWAYS_FINE_MESSAGES: Final = 100
"""Ten full answers. Counts are approximate (SQS API reference, GetQueueAttributes), and twice a few is still a few."""
NEVER_FINE_MESSAGES: Final = 10_000
"""As many as one worker holds by default: more are waiting because nobody takes them."""


class QueueTrend(msgspec.Struct, frozen=True):
    """What the counts have shown so far."""

    kept_up_at: float
    """When the fleet last kept up; loop's clock."""
    least_messages: int | None = None
    """The smallest count so far; None: there was none."""
    lag_seconds: float | None = None
    """The longest that the messages which make the fleet late can have waited; 0: it keeps up; None: unknown."""


def trend_after(before: QueueTrend, visible_messages: int | None, now: float) -> QueueTrend:
    """The trend with the newest count of all queues together at `now` (loop's clock); None: it is unknown."""
    if visible_messages is None:
        return msgspec.structs.replace(before, lag_seconds=None)
    known = before.least_messages
    least = visible_messages if known is None else min(known, visible_messages)
    fine = min(NEVER_FINE_MESSAGES, max(ALWAYS_FINE_MESSAGES, 2 * least))
    kept_up_at = now if visible_messages <= fine else before.kept_up_at
    return QueueTrend(kept_up_at, least, now - kept_up_at)
