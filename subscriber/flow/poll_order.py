"""Which of the queues that wait for a lease comes first: the one that holds least.

The order is a heap of entries that are never changed. A queue whose figures change gets a new entry, and old ones are
dropped when they come to the front or outnumber the queues. So the work of a change does not grow with the queues. A
queue that waits alone, as most daemons have one, needs no heap.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TypeAlias

_Entry: TypeAlias = tuple[int, int, int, str]
"""Messages held, bytes that its next poll reserves, number of the change, URL of the queue."""

_STALE_ENTRIES_AT_MOST = 16
"""So many entries, and one more per queue, may be out of date."""


class PollOrder:
    """The queues that wait: fewest messages first, then the smallest reservation, then whoever changed first."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._current: dict[str, _Entry] = {}
        self._numbers = itertools.count()

    def __contains__(self, queue: str) -> bool:
        return queue in self._current

    def put(self, queue: str, held: int, poll_bytes: int) -> None:
        """Add a queue, or record its new figures."""
        known = self._current.get(queue)
        if known is not None and known[0] == held and known[1] == poll_bytes:
            return
        entry = (held, poll_bytes, next(self._numbers), queue)
        self._current[queue] = entry
        if len(self._current) == 1:
            self._heap.clear()
            return
        if self._heap:
            heapq.heappush(self._heap, entry)
        if not self._heap or len(self._heap) > 2 * len(self._current) + _STALE_ENTRIES_AT_MOST:
            self._heap = list(self._current.values())
            heapq.heapify(self._heap)

    def remove(self, queue: str) -> None:
        """Remove a queue; none of its tasks waits any more."""
        self._current.pop(queue, None)

    def first(self) -> str | None:
        """The queue whose turn it is; None: no queue waits."""
        heap, current = self._heap, self._current
        if len(current) == 1:
            return next(iter(current))
        while heap:
            entry = heap[0]
            if current.get(entry[3]) is entry:
                return entry[3]
            heapq.heappop(heap)
        return None
