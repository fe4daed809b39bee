"""The audit log: receives and deletes of each message, as evidence for the history checker.

It is recorded only with `--audit-log`, because it grows with every message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from testkit.sqs.message import StoredMessage

Line: TypeAlias = tuple[str, int, list[float], float | None]
"""Message id, its number in the queue, Unix seconds of each receive, and of the delete that took effect."""


class AuditLog:
    """Receives and deletes, queue by queue."""

    def __init__(self, *, is_enabled: bool = True) -> None:
        self._is_attentive = is_enabled
        self._lines: dict[str, dict[str, Line]] = {}

    def received(self, queue_name: str, messages: Iterable[StoredMessage], now: float) -> None:
        """Record a receive of each message."""
        if not self._is_attentive:
            return
        lines = self._lines.setdefault(queue_name, {})
        for message in messages:
            line = lines.get(message.message_id)
            if line is None:
                line = lines[message.message_id] = (message.message_id, message.number, [], None)
            line[2].append(now)

    def deleted(self, queue_name: str, message_id: str, now: float) -> None:
        """Record a delete that took effect."""
        lines = self._lines.get(queue_name, {})
        if message_id in lines:
            name, number, received_at, _ = lines[message_id]
            lines[message_id] = (name, number, received_at, now)

    def take(self, queue_name: str) -> list[Line]:
        """Return the lines of one queue and drop them."""
        return list(self._lines.pop(queue_name, {}).values())
