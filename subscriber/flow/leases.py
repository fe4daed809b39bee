"""Visibility leases: how much the process may hold, and the receipt handles that a hard stop releases.

A poll begins by opening a lease, which waits until there is capacity for everything the poll may return: ten messages
of the largest size that S3 sends, or as many bytes as its queue has returned lately. When the answer arrives, the lease
shrinks to what was received. Each settled message is removed from its lease. So the sum of all leases is always an
upper bound of what the process holds (only polls that are open when bodies begin to grow may exceed it), and
`outstanding` is exactly what a hard stop releases. visibility_extension.py extends leases while their messages wait.

All sums are kept up to date with each change, so the work per message does not grow with the number of queues.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from subscriber.flow.poll_order import PollOrder
from subscriber.flow.wakeup import Waiters
from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES, VISIBILITY_SECONDS_AT_MOST, Lease, Message

RESERVATION_DECAY_DIVISOR = 4
"""A queue's byte reservation loses a fourth of itself with every poll that returns less."""

CLOCK_RESERVE_SECONDS = 60
"""Kept back from SQS's twelve hours: SQS starts to count before its answer arrives here."""

HOLD_SECONDS = 900.0
"""How long messages that cannot be written are kept, unless the caller says otherwise."""

Pauser: TypeAlias = Literal["outage", "operator"]
"""Who may pause polling: neither resumes what the other has paused."""


class LeasesClosedError(Exception):
    """No lease is given any more: the pipeline drains."""


class InFlightLimits(msgspec.Struct, frozen=True):
    """The most that the process may hold."""

    messages: int
    bytes: int


class LeaseTerms(msgspec.Struct, frozen=True):
    """How long messages are ours."""

    visibility_seconds: float
    """How long a received message stays invisible to others, and again after every extension."""
    hold_seconds: float
    """From the answer of a poll until its remaining messages are released."""


def terms_of(visibility_seconds: float, hold_seconds: float) -> LeaseTerms:
    """Terms within the twelve hours that SQS allows."""
    return LeaseTerms(visibility_seconds, min(hold_seconds, VISIBILITY_SECONDS_AT_MOST - CLOCK_RESERVE_SECONDS))


def has_capacity_for_poll(held: int, kept: int, bytes_then: int, limits: InFlightLimits) -> bool:
    """Whether one more poll of a queue fits, while every other queue keeps capacity for one poll of its own.

    Args:
        held: messages that count for this queue, open polls included.
        kept: the sum over all queues of what counts for each, but at least one poll each.
        bytes_then: bytes that count for all queues, with this poll.
        limits: the most that may be held.
    """
    return kept + min(MESSAGES_PER_POLL, held) <= limits.messages and bytes_then <= limits.bytes


class VisibilityLeases:
    """All open leases and their sums. The pipeline owns it; receive, acknowledge and the extender use it.

    Args:
        queues: URLs of the queues, each of which keeps capacity for one poll.
        limits: the most that may ever be held.
        visibility_seconds: how long a received message stays invisible to others.
        hold_seconds: how long a received message may be held.
    """

    def __init__(
        self,
        queues: Sequence[str],
        limits: InFlightLimits,
        visibility_seconds: float,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self.terms = terms_of(visibility_seconds, hold_seconds)
        self._limits = limits
        self._live_limits = limits
        self._messages = dict.fromkeys(queues, 0)
        self._messages_taken = 0
        self._kept = MESSAGES_PER_POLL * len(self._messages)
        self._open_polls = 0
        self._reserved_bytes = 0
        self._bytes = 0
        self._poll_bytes = dict.fromkeys(queues, POLL_BYTES)
        self._open: dict[int, Lease] = {}
        self._asking = dict.fromkeys(queues, 0)
        self._order = PollOrder()
        self._waiters = {queue: Waiters() for queue in queues}
        self._pausers: set[Pauser] = set()
        self._on_probation = False
        self._closed = False

    @property
    def messages_held(self) -> int:
        """Messages received and not settled."""
        return self._messages_taken - self.messages_reserved

    @property
    def bytes_held(self) -> int:
        """Characters of their bodies: bytes, for the ASCII that S3 sends."""
        return self._bytes - self._reserved_bytes

    @property
    def messages_reserved(self) -> int:
        """Capacity reserved for the answers of open polls, in messages."""
        return MESSAGES_PER_POLL * self._open_polls

    @property
    def bytes_reserved(self) -> int:
        """Capacity reserved for the answers of open polls, in bytes of bodies."""
        return self._reserved_bytes

    @property
    def budget_messages(self) -> int:
        """The most messages that all leases together may count for now."""
        return self._live_limits.messages

    def messages_taken(self, queue: str) -> int:
        """What counts for a queue: messages held, and capacity reserved for its open polls."""
        return self._messages[queue]

    def oldest_sent_at(self, taken_from: float = -math.inf) -> Mapping[str, float]:
        """When the oldest held message that shows lag was sent, by queue; without a queue that holds none.

        Its resolution is a poll: a message counts until every message of its poll is settled.

        Args:
            taken_from: polls answered earlier do not count.
        """
        oldest: dict[str, float] = {}
        for lease in self._open.values():
            if lease.taken_at >= taken_from and lease.oldest_sent_at < oldest.get(lease.queue, math.inf):
                oldest[lease.queue] = lease.oldest_sent_at
        return oldest

    def set_budget(self, messages: int) -> None:
        """Set the live budget, bounded by one poll for each queue below and by the limits above."""
        floor = MESSAGES_PER_POLL * len(self._messages)
        budget = max(floor, min(messages, self._limits.messages))
        self._live_limits = InFlightLimits(messages=budget, bytes=self._limits.bytes)
        self._wake()

    def pause(self, by: Pauser = "outage") -> None:
        """Give no lease until the same pauser resumes: receive nothing that could not be stored."""
        self._pausers.add(by)

    def resume(self, by: Pauser = "outage") -> None:
        """Give leases again, unless the other pauser has paused as well."""
        self._pausers.discard(by)
        if by == "outage":
            self._on_probation = False
        self._wake()

    def begin_probation(self) -> None:
        """Replace the outage's pause by probation.

        Until `resume`, a queue gets a lease only while it holds fewer than ten messages. If writes go on failing, few
        messages have used up a receive.
        """
        self._on_probation = True
        self._pausers.discard("outage")
        self._wake()

    def close(self) -> None:
        """Give no lease ever again; every waiting `open` raises at once."""
        self._closed = True
        for waiters in self._waiters.values():
            waiters.wake_all()

    async def open(self, queue: str) -> Lease:
        """A lease for one poll of `queue`, as soon as there is capacity and polling is not paused.

        Raises:
            LeasesClosedError: `close` was called.
        """
        if self._order.first() is None and not self._closed and self._may_open(queue):
            return self._opened(queue)  # nobody waits, so nobody is to be yielded to or woken
        self._ask(queue, 1)
        try:
            while not (self._closed or self._may_open(queue)):
                await self._waiters[queue].wait()
            if self._closed:
                raise LeasesClosedError
            return self._opened(queue)
        finally:
            self._ask(queue, -1)
            self._wake()  # a poll that yielded to this one may go on, however this one ended

    def fill(self, lease: Lease, messages: Sequence[Message]) -> None:
        """Record the answer of a poll: keep what was received, free the rest of the reservation."""
        now = lease.taken_at = asyncio.get_running_loop().time()
        lease.expires_at = now + self.terms.visibility_seconds
        lease.extend_at = now + self.terms.visibility_seconds / 2
        lease.held_until = now + self.terms.hold_seconds
        bodies = {message.receipt_handle: len(message.body) for message in messages}
        lease.handles.update(bodies)
        self._open_polls -= 1
        self._reserved_bytes -= lease.reserved_bytes
        self._bytes += (received := sum(bodies.values())) - lease.reserved_bytes
        self._update_reservation(lease.queue, received)
        self._count(lease.queue, len(bodies) - MESSAGES_PER_POLL)
        if not lease.handles:
            del self._open[id(lease)]
        self._wake()

    def abandon(self, lease: Lease) -> None:
        """Record that a poll failed: free its whole reservation."""
        self.fill(lease, ())

    def settle(self, messages: Iterable[Message]) -> None:
        """Remove messages that were deleted, delayed, released or expired. Settling twice is settling once."""
        queue, gone = "", 0
        for message in messages:
            lease, handle = message.lease, message.receipt_handle
            handles = lease.handles
            if handle not in handles:
                continue
            handles.remove(handle)
            if lease.expired:
                lease.expired.discard(handle)
            if lease.queue != queue and gone:
                self._count(queue, -gone)
                gone = 0
            queue, gone = lease.queue, gone + 1
            self._bytes -= len(message.body)
            if not handles:
                self._open.pop(id(lease), None)
        if gone:
            self._count(queue, -gone)
        self._wake()

    def filled(self) -> list[Lease]:
        """The leases of answered polls that still hold an unexpired message."""
        return [lease for lease in self._open.values() if len(lease.handles) > len(lease.expired)]

    def outstanding(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(queue, receipt handles) of every received message that is neither settled nor expired."""
        for lease in self.filled():
            yield lease.queue, tuple(lease.handles - lease.expired)

    def _opened(self, queue: str) -> Lease:
        reserved = self._poll_bytes[queue]
        self._open_polls += 1
        self._reserved_bytes += reserved
        self._bytes += reserved
        self._count(queue, MESSAGES_PER_POLL)
        lease = Lease(queue=queue, expires_at=0.0, handles=set(), reserved_bytes=reserved)
        self._open[id(lease)] = lease
        return lease

    def _update_reservation(self, queue: str, received: int) -> None:
        # Never more than the share of a queue where each has one poll: a larger reservation could never be granted.
        known = self._poll_bytes[queue]
        wanted = max(POLL_BYTES, received, known - known // RESERVATION_DECAY_DIVISOR)
        self._poll_bytes[queue] = min(wanted, max(POLL_BYTES, self._limits.bytes // len(self._messages)))

    def _count(self, queue: str, messages: int) -> None:
        """Count so many messages more (or less) for a queue."""
        before = self._messages[queue]
        self._messages[queue] = now = before + messages
        self._messages_taken += messages
        if before >= MESSAGES_PER_POLL <= now:
            self._kept += messages
        else:
            self._kept += max(MESSAGES_PER_POLL, now) - max(MESSAGES_PER_POLL, before)
        if self._asking[queue]:
            self._order.put(queue, now, self._poll_bytes[queue])

    def _ask(self, queue: str, tasks: int) -> None:
        """Count so many tasks more (or less) that ask for a lease."""
        self._asking[queue] += tasks
        if self._asking[queue]:
            self._order.put(queue, self._messages[queue], self._poll_bytes[queue])
        else:
            self._order.remove(queue)

    def _may_open(self, queue: str) -> bool:
        if self._on_probation and self._messages[queue] >= MESSAGES_PER_POLL:
            return False
        return not self._pausers and self._has_capacity(queue) and not self._yields(queue)

    def _yields(self, queue: str) -> bool:
        # To a waiting queue that holds less: otherwise a flooded queue takes back at once what it has just freed. The
        # queue that holds less fits where this one fits or, with larger bodies, as soon as enough messages are settled.
        first = self._order.first()
        return first is not None and self._messages[first] < self._messages[queue]

    def _has_capacity(self, queue: str) -> bool:
        bytes_then = self._bytes + self._poll_bytes[queue]
        return has_capacity_for_poll(self._messages[queue], self._kept, bytes_then, self._live_limits)

    def _wake(self) -> None:
        # Where the first queue may not open, no other may: it yields to the first, or needs as much or more. A waiter
        # that gets a lease wakes the next, so no more wake than fit.
        first = self._order.first()
        if first is not None and self._may_open(first):
            self._waiters[first].wake_one()
