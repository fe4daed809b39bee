"""The silent stall: a queue that gives nothing although it holds something. Pure.

Of a standard queue about 120,000 messages may be in flight. At that limit a short poll is refused with an error, a
long poll is not: its answers are merely empty (SQS developer guide, "Amazon SQS standard queue quotas"). So a fleet
that holds on to its messages sees an idle queue while the backlog grows, and nothing fails. The daemon makes long
polls only, hence this look at what the queue says of itself.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

StallReason: TypeAlias = Literal["in_flight_limit", "unseen_backlog"]

IN_FLIGHT_AT_MOST = 120_000
NEAR_THE_LIMIT_MESSAGES = IN_FLIGHT_AT_MOST * 9 // 10
"""The limit is an approximate one, and so is the count."""

EMPTY_ANSWERS_THAT_TELL = 2
"""One empty answer may be chance: a poll that begins at the very end of a burst."""

SILENCE_THAT_TELLS_SECONDS = 90.0
"""The counts of a queue need about a minute to become true after it was last fed (SQS API reference,
GetQueueAttributes), and are asked a few times a minute: a shorter silence may be the count's own lateness."""

BACKLOG_THAT_TELLS_MESSAGES = 10
"""What one poll could have brought; fewer may be an error of the count."""

ADVICE: dict[StallReason, str] = {
    "in_flight_limit": (
        "nearly as many messages are in flight as the queue allows, so polls come back empty without an error: "
        "somebody receives and does not delete; lower SUBSCRIBER_PREFETCH_MESSAGES or the number of tasks, "
        "or find the consumer that hangs"
    ),
    "unseen_backlog": (
        "the queue reports messages waiting and gives none: look for another consumer of it that holds them, at its "
        "key's permissions, and at the health of SQS in the region"
    ),
}
"""A sentence for the operator."""


class QueueSigns(msgspec.Struct, frozen=True):
    """What is known of one queue."""

    empty_answers: int
    """In a row, up to now."""
    silent_seconds: float
    """For how long."""
    visible: int | None
    """Messages waiting, as the queue last said; None: it has not, or long ago."""
    in_flight: int | None
    """Messages received and not deleted, by anybody; None likewise."""


def stall_in(signs: QueueSigns, before: StallReason | None = None) -> StallReason | None:
    """Why the queue counts as stalled, or None.

    One message ends any stall. Without counts nothing new is claimed, and nothing taken back.

    Args:
        signs: what is known now.
        before: what was said last time.
    """
    if signs.empty_answers < EMPTY_ANSWERS_THAT_TELL:
        return None
    if signs.visible is None or signs.in_flight is None:
        return before
    if signs.in_flight >= NEAR_THE_LIMIT_MESSAGES:
        return "in_flight_limit"
    if signs.visible >= BACKLOG_THAT_TELLS_MESSAGES and signs.silent_seconds >= SILENCE_THAT_TELLS_SECONDS:
        return "unseen_backlog"
    return None
