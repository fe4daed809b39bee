"""What the daemon holds of the queues: a ceiling before a poll, and the handles it would have to hand back.

A poll begins by opening a lease, which waits until there is room for all the poll may bring: ten messages of the
largest size that S3 sends, or as much as its queue has brought lately. When the answer is there, the lease shrinks to
what came. Each message that is settled leaves it. So the sum of all leases is at every moment an upper bound of what
is inside the process (only polls that are open when bodies begin to be larger may exceed it), and `outstanding` is
exactly what a hard stop releases. That leases do not end while messages wait is the work of visibility_extension.py.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from subscriber.flow.wakeup import Waiters
from subscriber.model import Lease, Message

POLL_MESSAGES = 10
"""The most one ReceiveMessage call may return (SQS API reference)."""

POLL_BYTES = POLL_MESSAGES * 65_536
"""Ten times the largest S3 event notification, 64 KB (S3 user guide, "Event message structure")."""

FORGOTTEN_A_POLL = 4
"""Of the room beyond that a fourth is given up with every poll that brings less."""

IN_FLIGHT_AT_MOST_SECONDS = 12 * 3600
"""No message is hidden longer after one receive; a change of visibility beyond it is an error (SQS API reference)."""

CLOCK_RESERVE_SECONDS = 60
"""Kept of those twelve hours: the queue began to count before its answer reached us."""

HOLD_SECONDS = 900.0
"""How long messages are kept that cannot be written, where nobody says otherwise."""

Pauser: TypeAlias = Literal["outage", "operator"]
"""Who may stop the intake: neither starts again what the other has stopped."""


class LeasesShutError(Exception):
    """No lease is given any more: the line is running dry."""


class InFlightLimits(msgspec.Struct, frozen=True):
    """The most that may be inside the process."""

    messages: int
    bytes: int


class LeaseTerms(msgspec.Struct, frozen=True):
    """For how long messages are ours."""

    visibility_seconds: float
    """How long the queue hides what a poll brings, and again with every renewal."""
    hold_seconds: float
    """From the answer of a poll until what is left of it is handed back."""


def terms_of(visibility_seconds: float, hold_seconds: float) -> LeaseTerms:
    """Terms that the queue's twelve hours allow."""
    return LeaseTerms(visibility_seconds, min(hold_seconds, IN_FLIGHT_AT_MOST_SECONDS - CLOCK_RESERVE_SECONDS))


def has_room_for_poll(
    queue: str, messages_by_queue: Mapping[str, int], bytes_then: int, ceiling: InFlightLimits
) -> bool:
    """Whether one more poll of `queue` fits, leaving every other queue the room for one poll of its own."""
    kept_for_others = sum(max(0, POLL_MESSAGES - held) for other, held in messages_by_queue.items() if other != queue)
    messages = sum(messages_by_queue.values()) + kept_for_others + POLL_MESSAGES
    return messages <= ceiling.messages and bytes_then <= ceiling.bytes


class VisibilityLeases:
    """All open leases and their sums; owned by the line, used by receive and acknowledge.

    Args:
        queues: URLs of the queues, each of which keeps room for one poll.
        ceiling: the most that may ever be held.
        visibility_seconds: how long the queue hides what a poll brings.
        hold_seconds: how long what a poll brought may stay here.
    """

    def __init__(
        self,
        queues: Sequence[str],
        ceiling: InFlightLimits,
        visibility_seconds: float,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self.terms = terms_of(visibility_seconds, hold_seconds)
        self._ceiling = ceiling
        self._live_messages = ceiling.messages
        self._messages = dict.fromkeys(queues, 0)
        self._bytes = 0
        self._poll_bytes = dict.fromkeys(queues, POLL_BYTES)
        self._open: dict[int, Lease] = {}
        self._asking = dict.fromkeys(queues, 0)
        self._waiters = {queue: Waiters() for queue in queues}
        self._pausers: set[Pauser] = set()
        self._on_probation = False
        self._shut = False

    @property
    def messages_held(self) -> int:
        """Messages inside the process, room kept for open polls included."""
        return sum(self._messages.values())

    @property
    def bytes_held(self) -> int:
        """Characters of their bodies (bytes, for the ASCII that S3 sends), room for open polls included."""
        return self._bytes

    @property
    def oldest_sent_at(self) -> float:
        """Unix seconds at which the oldest first receive inside was sent; infinite where there is none.

        As fine as a poll: it counts until everything that came with it is settled.
        """
        return min((lease.oldest_sent_at for lease in self._open.values()), default=math.inf)

    def set_live_messages(self, messages: int) -> None:
        """Lower or raise the live budget, never above the ceiling and never below a poll for each queue."""
        floor = POLL_MESSAGES * len(self._messages)
        self._live_messages = max(floor, min(messages, self._ceiling.messages))
        self._wake()

    def pause(self, by: Pauser = "outage") -> None:
        """Give no lease until whoever paused resumes: nothing is taken that could not be stored."""
        self._pausers.add(by)

    def resume(self, by: Pauser = "outage") -> None:
        """Give leases again, unless somebody else has paused as well."""
        self._pausers.discard(by)
        if by == "outage":
            self._on_probation = False
        self._wake()

    def begin_probation(self) -> None:
        """End the outage's pause on trial: until `resume`, a queue of which less than a poll is here may have one.

        Should writes be refused once more, so few messages have been received in vain.
        """
        self._on_probation = True
        self._pausers.discard("outage")
        self._wake()

    def shut(self) -> None:
        """Give no lease ever again; who waits for one is told at once."""
        self._shut = True
        for waiters in self._waiters.values():
            waiters.wake_all()

    async def open(self, queue: str) -> Lease:
        """A lease for one poll of `queue`, as soon as there is room for it and the book is not paused.

        Raises:
            LeasesShutError: the book is shut.
        """
        self._asking[queue] += 1
        try:
            while not (self._shut or self._may_open(queue)):
                await self._waiters[queue].wait()
            if self._shut:
                raise LeasesShutError
            return self._opened(queue)
        finally:
            self._asking[queue] -= 1
            self._wake()  # who gave way to this one may go on, however it ended

    def fill(self, lease: Lease, messages: Sequence[Message]) -> None:
        """The poll has answered: keep what came, give the rest of the room back."""
        now = lease.taken_at = asyncio.get_running_loop().time()
        lease.expires_at = now + self.terms.visibility_seconds
        lease.renew_at = now + self.terms.visibility_seconds / 2
        lease.held_until = now + self.terms.hold_seconds
        bodies = {message.receipt_handle: len(message.body) for message in messages}
        lease.handles.update(bodies)
        self._messages[lease.queue] += len(bodies) - POLL_MESSAGES
        self._bytes += (brought := sum(bodies.values())) - lease.room_bytes
        self._learn(lease.queue, brought)
        if not lease.handles:
            del self._open[id(lease)]
        self._wake()

    def abandon(self, lease: Lease) -> None:
        """The poll has failed: all its room is free again."""
        self.fill(lease, ())

    def settle(self, messages: Iterable[Message]) -> None:
        """These have left the process: deleted, hidden or handed back. Settling twice is settling once."""
        for message in messages:
            lease = message.lease
            if message.receipt_handle not in lease.handles:
                continue
            lease.handles.discard(message.receipt_handle)
            lease.expired.discard(message.receipt_handle)
            self._messages[lease.queue] -= 1
            self._bytes -= len(message.body)
            if not lease.handles:
                self._open.pop(id(lease), None)
        self._wake()

    def filled(self) -> list[Lease]:
        """The leases whose polls have been answered, and of which something is still ours."""
        return [lease for lease in self._open.values() if len(lease.handles) > len(lease.expired)]

    def outstanding(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(queue, receipt handles) of everything that was received, is not settled and not lost."""
        for lease in self.filled():
            yield lease.queue, tuple(lease.handles - lease.expired)

    def _opened(self, queue: str) -> Lease:
        self._messages[queue] += POLL_MESSAGES
        room = self._poll_bytes[queue]
        self._bytes += room
        lease = Lease(queue=queue, expires_at=0.0, handles=set(), room_bytes=room)
        self._open[id(lease)] = lease
        return lease

    def _learn(self, queue: str, brought: int) -> None:
        # Never more than there is where every queue has one poll: else a large one could be the last.
        known = self._poll_bytes[queue]
        wanted = max(POLL_BYTES, brought, known - known // FORGOTTEN_A_POLL)
        self._poll_bytes[queue] = min(wanted, max(POLL_BYTES, self._ceiling.bytes // len(self._messages)))

    def _may_open(self, queue: str) -> bool:
        if self._on_probation and self._messages[queue] >= POLL_MESSAGES:
            return False
        return not self._pausers and self._has_capacity(queue) and not self._gives_way(queue)

    def _gives_way(self, queue: str) -> bool:
        # To a queue that asks as well and holds less: else a flooded one takes back at once what it gave back.
        # Whoever holds less has room where this one has, or, being used to large bodies, as soon as enough are settled.
        held = self._messages[queue]
        return any(asking and self._messages[other] < held for other, asking in self._asking.items())

    def _has_capacity(self, queue: str) -> bool:
        ceiling = InFlightLimits(messages=self._live_messages, bytes=self._ceiling.bytes)
        return has_room_for_poll(queue, self._messages, self._bytes + self._poll_bytes[queue], ceiling)

    def _wake(self) -> None:
        # One of each queue that has room; who gets a lease wakes the next, so no more wake than there is room for.
        if self._pausers:
            return
        for queue, waiters in self._waiters.items():
            if waiters and self._has_capacity(queue):
                waiters.wake_one()
