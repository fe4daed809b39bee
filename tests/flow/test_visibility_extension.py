"""The lease keeper: what waits stays hidden, what was held too long goes back, who keeps up asks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.visibility_extension import VisibilityExtender
from subscriber.model import Message
from subscriber.observe.metrics import Metrics
from tests.fakes.queues import FailEntries, FakeQueues, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.store import FailAfterDoing, Hold, Refuse
from tests.fakes.virtual_time import settle

VISIBILITY_SECONDS = 300.0
HOLD_SECONDS = 1000.0


class Stage:
    """A book, queues that hold what it holds, and a keeper between them."""

    def __init__(self, *, hold_seconds: float = HOLD_SECONDS) -> None:
        self.queues = FakeQueues(visibility_seconds=VISIBILITY_SECONDS)
        self.book = VisibilityLeases(
            (QUEUE, OTHER_QUEUE), InFlightLimits(10_000, 1 << 30), VISIBILITY_SECONDS, hold_seconds
        )
        self.metrics = Metrics()
        self.keeper = VisibilityExtender(self.book, self.queues, self.metrics)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[asyncio.Task[None]]:
        """The keeper at work."""
        keeper = asyncio.create_task(self.keeper.run(), name="keeper")
        try:
            yield keeper
            assert not keeper.done()
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def poll(self, count: int, queue: str = QUEUE) -> list[Message]:
        """A poll that brings so many messages, at most ten."""
        self.queues.send(queue, ["{}"] * count)
        lease = await self.book.open(queue)
        messages = await self.queues.receive(lease)
        self.book.fill(lease, messages)
        return messages

    def calls(self) -> list[list[int]]:
        """The seconds of every change of visibility, call by call."""
        return [[seconds for _, seconds in entries] for entries in self.queues.visibility_changes]

    def receivable(self) -> int:
        """How many messages another consumer could receive now."""
        now = asyncio.get_running_loop().time()
        return sum(kept.visible_at <= now for queue in (QUEUE, OTHER_QUEUE) for kept in self.queues.left(queue))

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"subscriber_{name}_messages_total", labels) or 0


async def test_a_line_that_keeps_up_asks_nothing() -> None:
    """Polls come and go for an hour, each settled within a minute: no request."""
    stage = Stage()
    async with stage.keeping():
        for _ in range(120):
            messages = await stage.poll(10)
            await asyncio.sleep(30)
            stage.book.settle(messages)
    assert stage.calls() == []


async def test_what_waits_is_renewed_in_tens_at_half_its_time_and_never_seen_by_others() -> None:
    """Small polls that were answered about the same time share their calls."""
    stage = Stage()
    async with stage.keeping():
        for _ in range(25):
            await stage.poll(1)
        for _ in range(99):
            await asyncio.sleep(10)
            assert stage.receivable() == 0
    assert [len(call) for call in stage.calls()] == [10, 10, 5] * 6
    assert {seconds for call in stage.calls() for seconds in call} == {300}
    assert stage.count("visibility_extended", queue="events") == 150


async def test_only_what_is_still_here_is_renewed() -> None:
    """Settled messages are nobody's business any more."""
    stage = Stage()
    async with stage.keeping():
        messages = await stage.poll(10)
        stage.book.settle(messages[:7])
        await asyncio.sleep(160)
    assert [len(call) for call in stage.calls()] == [3]


@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"])
async def test_an_entry_that_is_refused_is_lost_alone(code: str) -> None:
    """It is never asked for again nor handed back; its neighbors are renewed."""
    stage = Stage()
    stage.queues.script("change_visibility", FailEntries({3: code}))
    async with stage.keeping():
        messages = await stage.poll(10)
        await asyncio.sleep(400)
    lease = messages[0].lease
    (lost,) = lease.expired
    assert [len(call) for call in stage.calls()] == [10, 9]
    assert {handle for _, handles in stage.book.outstanding() for handle in handles} == lease.handles - {lost}
    assert stage.count("lease_expired", queue="events", reason="refused") == 1
    stage.book.settle(messages)
    assert stage.book.messages_held == 0


@pytest.mark.parametrize(
    "fault", [Refuse(call_error()), FailAfterDoing(call_error()), FailEntries({0: "InternalError"})]
)
async def test_a_call_that_fails_is_repeated_while_the_lease_lasts(fault: Refuse) -> None:
    """A bad moment of the queue costs no lease."""
    stage = Stage()
    stage.queues.script("change_visibility", *[fault] * 20)
    async with stage.keeping():
        messages = await stage.poll(10)
        await asyncio.sleep(700)
    assert stage.receivable() == 0
    assert messages[0].lease.expired == set()
    assert len(stage.calls()) > 20


async def test_a_lease_that_could_not_be_renewed_is_lost_when_it_ends() -> None:
    """By our own clock, without a word from the queue."""
    stage = Stage()
    stage.queues.script("change_visibility", *[Refuse(call_error())] * 1000)
    async with stage.keeping():
        messages = await stage.poll(4)
        await asyncio.sleep(299)
        assert messages[0].lease.expired == set()
        await asyncio.sleep(2)
        assert messages[0].lease.expired == messages[0].lease.handles
        assert list(stage.book.outstanding()) == []
        asked = len(stage.calls())
        await asyncio.sleep(1000)
        assert len(stage.calls()) == asked
    assert stage.count("lease_expired", queue="events", reason="expired") == 4


async def test_what_was_held_too_long_is_handed_back() -> None:
    """Visible at once for others, still counted as inside until its room lets go of it, and no longer written."""
    stage = Stage()
    async with stage.keeping():
        messages = await stage.poll(10)
        await asyncio.sleep(HOLD_SECONDS - 1)
        assert stage.receivable() == 0
        await asyncio.sleep(2)
        assert stage.receivable() == 10
    assert messages[0].lease.expired == messages[0].lease.handles
    assert stage.book.messages_held == 10
    assert stage.calls()[-1] == [0] * 10
    assert stage.count("released", queue="events") == 10


async def test_a_hand_back_that_fails_is_tried_again() -> None:
    """Until then the messages are ours."""
    stage = Stage(hold_seconds=100)
    stage.queues.script("change_visibility", Refuse(call_error()))
    async with stage.keeping():
        messages = await stage.poll(10)
        await asyncio.sleep(101)
        assert messages[0].lease.expired == set()
        await asyncio.sleep(10)
        assert stage.receivable() == 10
    assert stage.calls() == [[0] * 10] * 2


async def test_a_keeper_cancelled_in_the_middle_leaves_all_to_the_last_hand_back() -> None:
    """What was asked and not answered is still on the book."""
    stage = Stage(hold_seconds=100)
    hold = Hold()
    stage.queues.script("change_visibility", hold)
    async with stage.keeping():
        messages = await stage.poll(10)
        await hold.reached.wait()
        assert len(messages[0].lease.expired) == 10
    ((_, handles),) = stage.book.outstanding()
    assert set(handles) == {one.receipt_handle for one in messages}


async def test_a_thousand_leases_are_renewed_few_calls_at_a_time() -> None:
    """Deletes share the connections: no storm, and all in time."""
    stage = Stage()
    async with stage.keeping():
        for _ in range(900):
            await stage.poll(10)
        await settle()
        await asyncio.sleep(400)
    assert stage.queues.settling_most <= 4
    assert stage.receivable() == 0
