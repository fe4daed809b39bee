"""Options of the SQS client, without the client: a command that calls no queue imports no AWS library for them."""

from __future__ import annotations

import msgspec

from subscriber.model import MESSAGES_PER_POLL


class SqsOptions(msgspec.Struct, frozen=True):
    """Queues and limits of the client."""

    queues: tuple[str, ...]
    wait_seconds: int
    """Wait time of a long poll, 1 to 20 (SQS API reference)."""
    visibility_seconds: int
    """Visibility timeout of received messages; it overrides the queue's own."""
    polls_at_most: int
    settle_calls_at_most: int
    messages_per_poll: int = MESSAGES_PER_POLL
