"""The audit log: receives and deletes of each message, as evidence for the history checker.

It is recorded only with `--audit-log`, because it grows with every message. Its times are those of the wall clock,
which PostgreSQL takes for its commits too: by another one a delete would seem to precede the commit that it followed,
once the machine's clock was set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

from testkit.sqs.message import StoredMessage

Line: TypeAlias = tuple[str, int, list[float], float | None]
"""Message id, its number in the queue, Unix seconds of each receive, and of the delete that took effect."""


class AuditLog:
    """Receives and deletes, queue by queue.

    Args:
        is_enabled: whether anything is recorded.
        clock: gives Unix seconds.
    """

    def __init__(self, *, is_enabled: bool = True, clock: Callable[[], float] = time.time) -> None:
        self._is_attentive = is_enabled
        self._clock = clock
        self._lines: dict[str, dict[str, Line]] = {}

    def received(self, queue_name: str, messages: Iterable[StoredMessage]) -> None:
        """Record a receive of each message."""
        if not self._is_attentive:
            return
        lines, now = self._lines.setdefault(queue_name, {}), self._clock()
        for message in messages:
            line = lines.get(message.message_id)
            if line is None:
                line = lines[message.message_id] = (message.message_id, message.number, [], None)
            line[2].append(now)

    def deleted(self, queue_name: str, message_id: str, _at: float) -> None:
        """Record a delete that took effect; the time by the queue's own clock does not count."""
        lines = self._lines.get(queue_name, {})
        if message_id in lines:
            name, number, received_at, _ = lines[message_id]
            lines[message_id] = (name, number, received_at, self._clock())

    def take(self, queue_name: str) -> list[Line]:
        """Return the lines of one queue and drop them."""
        return list(self._lines.pop(queue_name, {}).values())
