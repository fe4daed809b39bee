"""Queues in memory which keep the queue service's contract and fail on request.

They keep the protocols `receive.Source` and `acknowledge.Queues`: long polls, visibility by the loop's clock,
per-entry answers, a new receipt handle for every receive. Faults are queued per call, as in `tests.fakes.store`:

    FakeQueues().script("delete", FailEntries({3: "InternalError"}), None, Refuse(call_error()))
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
from subscriber.model import BatchAnswer, Lease, Message
from tests.fakes.samples import message
from tests.fakes.store import FailAfterDoing, Hold, Refuse

Call: TypeAlias = Literal["receive", "release", "delete", "change_visibility"]

ENTRIES_AT_MOST = 10
WAIT_SECONDS = 20.0
ROUND_TRIP_SECONDS = 0.01


@dataclass(frozen=True)
class FailEntries:
    """The call answers, but these positions are not done: named as failed, or with None not named at all."""

    codes: Mapping[int, str | None]


@dataclass(frozen=True)
class Bring:
    """The poll brings so many messages made up on the spot."""

    messages: int


Fault: TypeAlias = Refuse | FailAfterDoing | Hold | FailEntries | Bring | None
"""What happens to one call; None: it behaves."""


def call_error(code: str = "InternalError") -> QueueCallError:
    """A failure to script."""
    return QueueCallError(code, "scripted")


@dataclass
class Kept:
    """A message as the queue keeps it."""

    message_id: str
    body: str
    sent_at: float
    receive_count: int = 0
    handle: str = ""
    received_at: float = 0.0
    visible_at: float = 0.0
    is_deleted: bool = False


@dataclass
class Shelf:
    """One queue: what can be received now, what is hidden until when, and a bell for long polls."""

    visible: deque[Kept] = field(default_factory=deque)
    hidden: list[tuple[float, int, Kept]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class FakeQueues:
    """Any number of queues; one comes into being when it is first named."""

    def __init__(self, *, visibility_seconds: float = 300.0) -> None:
        self.deleted: list[tuple[str, ...]] = []
        """Handles of every delete call as asked, failed ones included."""
        self.visibility_changes: list[tuple[tuple[str, int], ...]] = []
        """The same of every change of visibility, hand-backs apart."""
        self.released: list[str] = []
        self.polls: list[tuple[str, float]] = []
        """Queue, and time by the loop's clock, of every poll that began."""
        self.open_polls: Counter[str] = Counter()
        """Polls under way, by queue."""
        self.settling = 0
        """Delete and visibility calls under way."""
        self.settling_most = 0
        self.cancelled_polls = 0
        self._visibility_seconds = visibility_seconds
        self._shelves: dict[str, Shelf] = {}
        self._in_flight: dict[str, tuple[str, Kept]] = {}
        self._numbers = itertools.count(1)
        self._faults: dict[Call, deque[Fault]] = {}

    def script(self, call: Call, *faults: Fault) -> None:
        """Queue what happens to the next calls, one fault per call."""
        self._faults.setdefault(call, deque()).extend(faults)

    def send(self, queue: str, bodies: Sequence[str], *, sent_at: float = 0.0) -> None:
        """Put messages into a queue, as S3 would."""
        shelf = self._shelf(queue)
        for body in bodies:
            shelf.visible.append(Kept(f"{queue}#{next(self._numbers)}", body, sent_at))
        shelf.arrived.set()

    def left(self, queue: str) -> list[Kept]:
        """What is not deleted, visible or not."""
        shelf = self._shelf(queue)
        every = {kept.message_id: kept for kept in (*shelf.visible, *(kept for _, _, kept in shelf.hidden))}
        return [kept for kept in every.values() if not kept.is_deleted]

    async def receive(self, lease: Lease) -> list[Message]:
        """Up to ten visible messages after a round trip; waits for a first one as a long poll does."""
        self.polls.append((lease.queue, asyncio.get_running_loop().time()))
        self.open_polls[lease.queue] += 1
        try:
            fault = await self._meet("receive")
            if isinstance(fault, Bring):
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

    async def release(self, queue: str, handles: Sequence[str]) -> int:
        """Make them visible at once; how many were done."""
        fault = await self._meet("release")
        self.released.extend(handles)
        answer = self._answer(fault, [(handle, 0.0) for handle in handles])
        if isinstance(fault, FailAfterDoing):
            raise fault.error
        return len(answer.done)

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Delete up to ten messages; deleting twice succeeds, as it does at the real one."""
        self.deleted.append(tuple(handles))
        return await self._settle("delete", [(handle, None) for handle in handles])

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Hide up to ten messages for so many seconds from now."""
        self.visibility_changes.append(tuple(entries))
        return await self._settle("change_visibility", entries)

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """What the queue says of itself, exactly: a real one is about a minute late."""
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        now = asyncio.get_running_loop().time()
        hidden = sum(kept.visible_at > now for kept in self.left(queue))
        return {
            "ApproximateNumberOfMessages": str(len(self.left(queue)) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
        }

    async def _settle(self, call: Call, entries: Sequence[tuple[str, float | None]]) -> BatchAnswer:
        assert 1 <= len(entries) <= ENTRIES_AT_MOST
        self.settling += 1
        self.settling_most = max(self.settling, self.settling_most)
        try:
            fault = await self._meet(call)
        finally:
            self.settling -= 1
        answer = self._answer(fault, entries)
        if isinstance(fault, FailAfterDoing):
            raise fault.error
        return answer

    async def _meet(self, call: Call) -> Fault:
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        faults = self._faults.get(call)
        fault = faults.popleft() if faults else None
        if isinstance(fault, Refuse):
            raise fault.error
        if isinstance(fault, Hold):
            fault.reached.set()
            await fault.released.wait()
        return fault

    def _answer(self, fault: Fault, entries: Sequence[tuple[str, float | None]]) -> BatchAnswer:
        codes: dict[int, str | None] = dict(fault.codes) if isinstance(fault, FailEntries) else {}
        codes |= {number: code for number, entry in enumerate(entries) if (code := self._refusal(*entry))}
        done = tuple(position for position in range(len(entries)) if position not in codes)
        for position in done:
            self._change(*entries[position])
        failed = tuple((position, code) for position, code in codes.items() if code and position < len(entries))
        return BatchAnswer(done=done, failed=failed)

    def _refusal(self, handle: str, hidden_seconds: float | None) -> str | None:
        """Why visibility cannot be changed; handles made up by a test, and deletes, are always in order."""
        (_, kept), now = self._in_flight.get(handle, ("", None)), asyncio.get_running_loop().time()
        if kept is None or hidden_seconds is None:
            return None
        if kept.handle != handle or kept.is_deleted or now + hidden_seconds > kept.received_at + 12 * 3600:
            return "InvalidParameterValue"
        return None if kept.visible_at > now else "MessageNotInflight"

    def _change(self, handle: str, hidden_seconds: float | None) -> None:
        queue, kept = self._in_flight.get(handle, ("", None))
        if kept is None or kept.handle != handle or kept.is_deleted:
            return
        if hidden_seconds is None:
            kept.is_deleted = True
        else:
            self._hide(self._shelf(queue), kept, hidden_seconds)

    async def _long_poll(self, lease: Lease) -> list[Message]:
        clock = asyncio.get_running_loop().time
        shelf, deadline = self._shelf(lease.queue), clock() + WAIT_SECONDS
        while not (taken := self._take(shelf)) and clock() < deadline:
            shelf.arrived.clear()
            next_visible = shelf.hidden[0][0] if shelf.hidden else deadline
            try:
                async with asyncio.timeout_at(min(deadline, next_visible)):
                    await shelf.arrived.wait()
            except TimeoutError:
                continue
        return [self._received(shelf, kept, lease) for kept in taken]

    def _take(self, shelf: Shelf) -> list[Kept]:
        now = asyncio.get_running_loop().time()
        while shelf.hidden and shelf.hidden[0][0] <= now:
            visible_at, _, kept = heapq.heappop(shelf.hidden)
            if kept.visible_at == visible_at and not kept.is_deleted:
                shelf.visible.append(kept)
        return [shelf.visible.popleft() for _ in range(min(ENTRIES_AT_MOST, len(shelf.visible)))]

    def _received(self, shelf: Shelf, kept: Kept, lease: Lease) -> Message:
        kept.receive_count += 1
        kept.received_at = asyncio.get_running_loop().time()
        kept.handle = f"{kept.message_id}@{kept.receive_count}"
        self._in_flight[kept.handle] = (lease.queue, kept)
        self._hide(shelf, kept, self._visibility_seconds)
        return Message(lease.queue, kept.message_id, kept.handle, kept.body, kept.sent_at, kept.receive_count, lease)

    def _hide(self, shelf: Shelf, kept: Kept, seconds: float) -> None:
        kept.visible_at = asyncio.get_running_loop().time() + seconds
        heapq.heappush(shelf.hidden, (kept.visible_at, next(self._numbers), kept))
        shelf.arrived.set()

    def _shelf(self, queue: str) -> Shelf:
        return self._shelves.setdefault(queue, Shelf())
