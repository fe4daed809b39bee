"""Queues in memory that keep the contract of SQS and fail on request.

They implement `ports.QueueClient`: long polls, visibility on the loop's clock, an answer for each entry, a new receipt
handle for every receive. Faults are scripted call by call, as in `tests.fakes.store`:

    FakeQueues().script("delete", FailEntries({3: "InternalError"}), None, Fail(call_error()))
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from subscriber.errors import QueueCallError
from subscriber.model import ENTRIES_PER_CALL, MESSAGES_PER_POLL, BatchAnswer, Lease, Message
from tests.fakes.samples import message
from tests.fakes.store import Fail, FailAfterDoing, Hold

Call: TypeAlias = Literal["receive", "release", "delete", "change_visibility"]

WAIT_SECONDS = 20.0
ROUND_TRIP_SECONDS = 0.01


@dataclass(frozen=True)
class FailEntries:
    """The call is answered, but these positions are not done: reported with a code, or with None not reported."""

    codes: Mapping[int, str | None]


@dataclass(frozen=True)
class Deliver:
    """The poll returns so many generated messages."""

    messages: int


Fault: TypeAlias = Fail | FailAfterDoing | Hold | FailEntries | Deliver | None
"""What happens to one call; None: it succeeds."""


def call_error(code: str = "InternalError", retry_after_seconds: float = 0.0) -> QueueCallError:
    """A failure to script."""
    return QueueCallError(code, "scripted", retry_after_seconds=retry_after_seconds)


@dataclass
class QueuedMessage:
    """A message as the queue stores it."""

    message_id: str
    body: str
    sent_at: float
    receive_count: int = 0
    handle: str = ""
    received_at: float = 0.0
    visible_at: float = 0.0
    is_deleted: bool = False


@dataclass
class QueueContents:
    """One queue: visible messages, invisible messages with their times, and an event that wakes long polls."""

    visible: deque[QueuedMessage] = field(default_factory=deque)
    invisible: list[tuple[float, int, QueuedMessage]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class FakeQueues:
    """Any number of queues; a queue is created when it is first named."""

    def __init__(self, *, visibility_seconds: float = 300.0) -> None:
        self.deleted: list[tuple[str, ...]] = []
        """Handles of every delete call, failed calls included."""
        self.visibility_changes: list[tuple[tuple[str, int], ...]] = []
        """Entries of every change of visibility, releases apart."""
        self.releases: list[tuple[str, ...]] = []
        """Handles of every release call, failed calls included."""
        self.polls: list[tuple[str, float]] = []
        """Queue and start time, on the loop's clock, of every poll."""
        self.open_polls: Counter[str] = Counter()
        """Polls under way, by queue."""
        self.settling = 0
        """Delete, visibility and release calls under way."""
        self.settling_most = 0
        self.cancelled_polls = 0
        self._visibility_seconds = visibility_seconds
        self._contents: dict[str, QueueContents] = {}
        self._in_flight: dict[str, tuple[str, QueuedMessage]] = {}
        self._numbers = itertools.count(1)
        self._faults: dict[Call, deque[Fault]] = {}

    def script(self, call: Call, *faults: Fault) -> None:
        """Queue what happens to the next calls, one fault per call."""
        self._faults.setdefault(call, deque()).extend(faults)

    def send(self, queue: str, bodies: Sequence[str], *, sent_at: float = 0.0) -> None:
        """Send messages to a queue, as S3 does."""
        contents = self._contents_of(queue)
        for body in bodies:
            contents.visible.append(QueuedMessage(f"{queue}#{next(self._numbers)}", body, sent_at))
        contents.arrived.set()

    def left(self, queue: str) -> list[QueuedMessage]:
        """Messages that are not deleted, visible or not."""
        contents = self._contents_of(queue)
        every = {kept.message_id: kept for kept in (*contents.visible, *(kept for _, _, kept in contents.invisible))}
        return [kept for kept in every.values() if not kept.is_deleted]

    async def receive(self, lease: Lease) -> list[Message]:
        """Up to ten visible messages after a round trip; a long poll waits for the first one."""
        self.polls.append((lease.queue, asyncio.get_running_loop().time()))
        self.open_polls[lease.queue] += 1
        try:
            fault = await self._next_fault("receive")
            if isinstance(fault, Deliver):
                return [message(lease.queue, under=lease) for _ in range(fault.messages)]
            received = await self._long_poll(lease)
            if isinstance(fault, FailAfterDoing):
                raise fault.error
        except asyncio.CancelledError:
            self.cancelled_polls += 1
            raise
        finally:
            self.open_polls[lease.queue] -= 1
        return received

    async def release(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Make any number of messages visible at once."""
        self.releases.append(tuple(handles))
        return await self._settle("release", [(handle, 0.0) for handle in handles])

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete up to ten messages; deleting twice succeeds, as in SQS."""
        assert len(handles) <= ENTRIES_PER_CALL
        self.deleted.append(tuple(handles))
        return await self._settle("delete", [(handle, None) for handle in handles])

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Keep up to ten messages invisible for so many seconds from now."""
        assert len(entries) <= ENTRIES_PER_CALL
        self.visibility_changes.append(tuple(entries))
        return await self._settle("change_visibility", entries)

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """Exact counts; those of SQS are about a minute late."""
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        now = asyncio.get_running_loop().time()
        invisible = sum(kept.visible_at > now for kept in self.left(queue))
        return {
            "ApproximateNumberOfMessages": str(len(self.left(queue)) - invisible),
            "ApproximateNumberOfMessagesNotVisible": str(invisible),
        }

    async def _settle(self, call: Call, entries: Sequence[tuple[str, float | None]]) -> BatchAnswer:
        assert entries
        self.settling += 1
        self.settling_most = max(self.settling, self.settling_most)
        try:
            fault = await self._next_fault(call)
        finally:
            self.settling -= 1
        answer = self._answer(fault, entries)
        if isinstance(fault, FailAfterDoing):
            raise fault.error
        return answer

    async def _next_fault(self, call: Call) -> Fault:
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        faults = self._faults.get(call)
        fault = faults.popleft() if faults else None
        if isinstance(fault, Fail):
            raise fault.error
        if isinstance(fault, Hold):
            fault.reached.set()
            await fault.released.wait()
        return fault

    def _answer(self, fault: Fault, entries: Sequence[tuple[str, float | None]]) -> BatchAnswer:
        codes: dict[int, str | None] = dict(fault.codes) if isinstance(fault, FailEntries) else {}
        codes |= {number: code for number, entry in enumerate(entries) if (code := self._error_code(*entry))}
        done = tuple(position for position in range(len(entries)) if position not in codes)
        for position in done:
            self._change(*entries[position])
        failed = tuple((position, code) for position, code in codes.items() if code and position < len(entries))
        return BatchAnswer(done=done, failed=failed)

    def _error_code(self, handle: str, invisible_seconds: float | None) -> str | None:
        """Why the visibility cannot be changed; generated handles and deletes are always valid."""
        (_, kept), now = self._in_flight.get(handle, ("", None)), asyncio.get_running_loop().time()
        if kept is None or invisible_seconds is None:
            return None
        if kept.handle != handle or kept.is_deleted or now + invisible_seconds > kept.received_at + 12 * 3600:
            return "InvalidParameterValue"
        return None if kept.visible_at > now else "MessageNotInflight"

    def _change(self, handle: str, invisible_seconds: float | None) -> None:
        queue, kept = self._in_flight.get(handle, ("", None))
        if kept is None or kept.handle != handle or kept.is_deleted:
            return
        if invisible_seconds is None:
            kept.is_deleted = True
        else:
            self._set_invisible(self._contents_of(queue), kept, invisible_seconds)

    async def _long_poll(self, lease: Lease) -> list[Message]:
        clock = asyncio.get_running_loop().time
        contents, deadline = self._contents_of(lease.queue), clock() + WAIT_SECONDS
        while not (taken := self._take(contents)) and clock() < deadline:
            contents.arrived.clear()
            next_visible = contents.invisible[0][0] if contents.invisible else deadline
            try:
                async with asyncio.timeout_at(min(deadline, next_visible)):
                    await contents.arrived.wait()
            except TimeoutError:
                continue
        return [self._received(contents, kept, lease) for kept in taken]

    def _take(self, contents: QueueContents) -> list[QueuedMessage]:
        now = asyncio.get_running_loop().time()
        while contents.invisible and contents.invisible[0][0] <= now:
            visible_at, _, kept = heapq.heappop(contents.invisible)
            if kept.visible_at == visible_at and not kept.is_deleted:
                contents.visible.append(kept)
        return [contents.visible.popleft() for _ in range(min(MESSAGES_PER_POLL, len(contents.visible)))]

    def _received(self, contents: QueueContents, kept: QueuedMessage, lease: Lease) -> Message:
        kept.receive_count += 1
        kept.received_at = asyncio.get_running_loop().time()
        kept.handle = f"{kept.message_id}@{kept.receive_count}"
        self._in_flight[kept.handle] = (lease.queue, kept)
        self._set_invisible(contents, kept, self._visibility_seconds)
        return Message(lease.queue, kept.message_id, kept.handle, kept.body, kept.sent_at, kept.receive_count, lease)

    def _set_invisible(self, contents: QueueContents, kept: QueuedMessage, seconds: float) -> None:
        kept.visible_at = asyncio.get_running_loop().time() + seconds
        heapq.heappush(contents.invisible, (kept.visible_at, next(self._numbers), kept))
        contents.arrived.set()

    def _contents_of(self, queue: str) -> QueueContents:
        return self._contents.setdefault(queue, QueueContents())
