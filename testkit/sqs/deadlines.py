"""Messages in the order of their deadlines, at a constant cost for those that come in order.

Nearly all deadlines do come in order: the timeout is the same for every receive, and time goes on. They are
appended to a deque; the few that are earlier than its last go to a heap. A message that leaves before its
deadline leaves a void entry behind, which is dropped when it comes up, or all at once when voids outnumber
what lives.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from testkit.sqs.message import Place, StoredMessage

_Entry: TypeAlias = tuple[float, int, StoredMessage]
"""Deadline, ticket, message. The entry is void once the message has another ticket."""

_TOLERATED_VOIDS = 1_000


class Deadlines:
    """The messages that wait in one place for their deadline."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._in_order: deque[_Entry] = deque()
        self._early: list[_Entry] = []
        self._voids = 0
        self._last_ticket = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._in_order) + len(self._early) - self._voids

    def add(self, message: StoredMessage, deadline: float) -> None:
        """Put the message here until its deadline."""
        message.place = self._place
        message.ticket = self._last_ticket = self._last_ticket + 1
        entry = (deadline, message.ticket, message)
        in_order = self._in_order
        if not in_order or deadline >= in_order[-1][0]:
            in_order.append(entry)
        else:
            heapq.heappush(self._early, entry)

    def remove(self, message: StoredMessage) -> None:
        """Take the message away before its deadline; the caller says where it goes."""
        message.place = "gone"
        message.ticket = 0
        self._voids += 1
        if self._voids > _TOLERATED_VOIDS and self._voids > len(self):
            self._drop_all_voids()

    def next(self) -> float | None:
        """The earliest deadline, or None if nothing waits."""
        self._drop_leading_voids()
        heads = [entries[0][0] for entries in (self._in_order, self._early) if entries]
        return min(heads, default=None)

    def due(self, now: float) -> Iterator[StoredMessage]:
        """Take out, in order, every message whose deadline has come."""
        while (deadline := self.next()) is not None and deadline <= now:
            early_first = self._early and self._early[0][0] == deadline
            entry = heapq.heappop(self._early) if early_first else self._in_order.popleft()
            _leave(entry[2])
            yield entry[2]

    def clear(self) -> Iterator[StoredMessage]:
        """Take out every message, whatever its deadline."""
        entries = [entry for entry in (*self._in_order, *self._early) if self._lives(entry)]
        self._in_order.clear()
        self._early.clear()
        self._voids = 0
        for _, _, message in entries:
            _leave(message)
            yield message

    def _lives(self, entry: _Entry) -> bool:
        return entry[2].place == self._place and entry[2].ticket == entry[1]

    def _drop_all_voids(self) -> None:
        self._in_order = deque(entry for entry in self._in_order if self._lives(entry))
        self._early = [entry for entry in self._early if self._lives(entry)]
        heapq.heapify(self._early)
        self._voids = 0

    def _drop_leading_voids(self) -> None:
        while self._in_order and not self._lives(self._in_order[0]):
            self._in_order.popleft()
            self._voids -= 1
        while self._early and not self._lives(self._early[0]):
            heapq.heappop(self._early)
            self._voids -= 1


def _leave(message: StoredMessage) -> None:
    message.place = "gone"
    message.ticket = 0
