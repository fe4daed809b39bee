"""What the queue saw of each message, kept for whoever judges a run afterwards.

Only kept when it is asked for (`--history`): a flood would otherwise be remembered for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from testkit.sqs.message import StoredMessage

Line: TypeAlias = tuple[str, int, list[float], float | None]
"""Message id, its number in the queue, Unix seconds of each receive, and of the delete that took effect."""


class AuditLog:
    """Receives and deletes, queue by queue."""

    def __init__(self, *, is_attentive: bool = True) -> None:
        self._is_attentive = is_attentive
        self._lines: dict[str, dict[str, Line]] = {}

    def received(self, queue_name: str, messages: Iterable[StoredMessage], now: float) -> None:
        """These were handed out."""
        if not self._is_attentive:
            return
        lines = self._lines.setdefault(queue_name, {})
        for message in messages:
            line = lines.get(message.message_id)
            if line is None:
                line = lines[message.message_id] = (message.message_id, message.number, [], None)
            line[2].append(now)

    def deleted(self, queue_name: str, message_id: str, now: float) -> None:
        """This one was deleted, and the delete took effect."""
        lines = self._lines.get(queue_name, {})
        if message_id in lines:
            name, number, received_at, _ = lines[message_id]
            lines[message_id] = (name, number, received_at, now)

    def tell(self, queue_name: str) -> list[Line]:
        """Everything about one queue, which is then forgotten."""
        return list(self._lines.pop(queue_name, {}).values())
