"""Messages ordered by deadline, at constant cost for deadlines that are added in order.

Nearly all are added in order, because every receive has the same timeout. They are appended to a deque; the few that
are earlier than its last entry go to a heap. A message that is removed before its deadline leaves a void entry. Void
entries are dropped when they reach the front, or all at once when they outnumber the valid ones.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from testkit.sqs.message import MessageState, StoredMessage

_Entry: TypeAlias = tuple[float, int, StoredMessage]
"""Deadline, ticket, message. The entry is void once the message has another ticket."""

_TOLERATED_VOIDS = 1_000


class Deadlines:
    """The messages in one state, each with a deadline."""

    def __init__(self, state: MessageState) -> None:
        self._state = state
        self._in_order: deque[_Entry] = deque()
        self._early: list[_Entry] = []
        self._voids = 0
        self._last_ticket = 0

    def __len__(self) -> int:
        """The number of messages."""
        return len(self._in_order) + len(self._early) - self._voids

    def add(self, message: StoredMessage, deadline: float) -> None:
        """Add the message until its deadline."""
        message.state = self._state
        message.ticket = self._last_ticket = self._last_ticket + 1
        entry = (deadline, message.ticket, message)
        in_order = self._in_order
        if not in_order or deadline >= in_order[-1][0]:
            in_order.append(entry)
        else:
            heapq.heappush(self._early, entry)

    def remove(self, message: StoredMessage) -> None:
        """Remove the message before its deadline; the caller sets its next state."""
        message.state = "gone"
        message.ticket = 0
        self._voids += 1
        if self._voids > _TOLERATED_VOIDS and self._voids > len(self):
            self._drop_all_voids()

    def next(self) -> float | None:
        """The earliest deadline, or None if there are no messages."""
        self._drop_leading_voids()
        heads = [entries[0][0] for entries in (self._in_order, self._early) if entries]
        return min(heads, default=None)

    def due(self, now: float) -> Iterator[StoredMessage]:
        """Remove and yield, in order, every message whose deadline has passed."""
        while (deadline := self.next()) is not None and deadline <= now:
            early_first = self._early and self._early[0][0] == deadline
            entry = heapq.heappop(self._early) if early_first else self._in_order.popleft()
            _leave(entry[2])
            yield entry[2]

    def clear(self) -> Iterator[StoredMessage]:
        """Remove and yield every message."""
        entries = [entry for entry in (*self._in_order, *self._early) if self._is_valid(entry)]
        self._in_order.clear()
        self._early.clear()
        self._voids = 0
        for _, _, message in entries:
            _leave(message)
            yield message

    def _is_valid(self, entry: _Entry) -> bool:
        return entry[2].state == self._state and entry[2].ticket == entry[1]

    def _drop_all_voids(self) -> None:
        self._in_order = deque(entry for entry in self._in_order if self._is_valid(entry))
        self._early = [entry for entry in self._early if self._is_valid(entry)]
        heapq.heapify(self._early)
        self._voids = 0

    def _drop_leading_voids(self) -> None:
        while self._in_order and not self._is_valid(self._in_order[0]):
            self._in_order.popleft()
            self._voids -= 1
        while self._early and not self._is_valid(self._early[0]):
            heapq.heappop(self._early)
            self._voids -= 1


def _leave(message: StoredMessage) -> None:
    message.state = "gone"
    message.ticket = 0
