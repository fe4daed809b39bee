"""Visibility extender: waiting messages stay invisible, messages held too long are released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.visibility_extension import RELEASES_AT_MOST, VisibilityExtender
from subscriber.model import Message
from subscriber.observe.metrics import Metrics
from tests.fakes.queues import FailEntries, FakeQueues, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.store import Fail, FailAfterDoing, Hold
from tests.fakes.virtual_time import settle

VISIBILITY_SECONDS = 300.0
HOLD_SECONDS = 1000.0


class Setup:
    """Leases, fake queues, and an extender between them."""

    def __init__(self, *, hold_seconds: float = HOLD_SECONDS, visibility_seconds: float = VISIBILITY_SECONDS) -> None:
        self.queues = FakeQueues(visibility_seconds=visibility_seconds)
        self.leases = VisibilityLeases(
            (QUEUE, OTHER_QUEUE), InFlightLimits(10_000, 1 << 30), visibility_seconds, hold_seconds
        )
        self.metrics = Metrics()
        self.extender = VisibilityExtender(self.leases, self.queues, self.metrics)

    @asynccontextmanager
    async def extending(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the extender."""
        task = asyncio.create_task(self.extender.run(), name="extend")
        try:
            yield task
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def poll(self, count: int, queue: str = QUEUE) -> list[Message]:
        """Poll so many messages, at most ten."""
        self.queues.send(queue, ["{}"] * count)
        lease = await self.leases.open(queue)
        messages = await self.queues.receive(lease)
        self.leases.fill(lease, messages)
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


async def test_a_pipeline_that_keeps_up_makes_no_call() -> None:
    """For an hour, the messages of each poll are settled within a minute."""
    setup = Setup()
    async with setup.extending():
        for _ in range(120):
            messages = await setup.poll(10)
            await asyncio.sleep(30)
            setup.leases.settle(messages)
    assert setup.calls() == []


async def test_waiting_messages_are_extended_at_half_their_time_in_calls_of_ten() -> None:
    """Small polls of about the same time share their calls, and no other consumer sees a message."""
    setup = Setup()
    async with setup.extending():
        for _ in range(25):
            await setup.poll(1)
        for _ in range(99):
            await asyncio.sleep(10)
            assert setup.receivable() == 0
    assert [len(call) for call in setup.calls()] == [10, 10, 5] * 6
    assert {seconds for call in setup.calls() for seconds in call} == {300}
    assert setup.count("visibility_extended", queue="events") == 150


async def test_only_held_messages_are_extended() -> None:
    """Settled messages are not."""
    setup = Setup()
    async with setup.extending():
        messages = await setup.poll(10)
        setup.leases.settle(messages[:7])
        await asyncio.sleep(160)
    assert [len(call) for call in setup.calls()] == [3]


@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"])
async def test_a_rejected_entry_expires_alone(code: str) -> None:
    """It is neither extended again nor released; the other messages of its call are extended."""
    setup = Setup()
    setup.queues.script("change_visibility", FailEntries({3: code}))
    async with setup.extending():
        messages = await setup.poll(10)
        await asyncio.sleep(400)
    lease = messages[0].lease
    (expired,) = lease.expired
    assert [len(call) for call in setup.calls()] == [10, 9]
    assert {handle for _, handles in setup.leases.outstanding() for handle in handles} == lease.handles - {expired}
    assert setup.count("lease_expired", queue="events", reason="rejected") == 1
    setup.leases.settle(messages)
    assert setup.leases.messages_held == 0


@pytest.mark.parametrize("fault", [Fail(call_error()), FailAfterDoing(call_error()), FailEntries({0: "InternalError"})])
async def test_a_failed_call_is_retried_while_the_lease_lasts(fault: Fail) -> None:
    """A temporary failure of SQS costs no lease."""
    setup = Setup()
    setup.queues.script("change_visibility", *[fault] * 20)
    async with setup.extending():
        messages = await setup.poll(10)
        await asyncio.sleep(700)
    assert setup.receivable() == 0
    assert messages[0].lease.expired == set()
    assert len(setup.calls()) > 20


async def test_a_throttled_extension_waits_as_asked_but_never_for_the_end_of_the_lease() -> None:
    """SQS asks for nine seconds each time: a lease of five minutes is tried half as often, one of ten is not lost."""
    calls: list[int] = []
    for asked_seconds in (0.0, 9.0):
        setup = Setup()
        setup.queues.script("change_visibility", *[Fail(call_error("RequestThrottled", asked_seconds))] * 1000)
        async with setup.extending():
            await setup.poll(1)
            await asyncio.sleep(290)
        calls.append(len(setup.calls()))
    assert (calls[0] >= 28, calls[1] <= 20) == (True, True)
    setup = Setup(visibility_seconds=10)
    setup.queues.script("change_visibility", *[Fail(call_error("RequestThrottled", 9.0))] * 2)
    async with setup.extending():
        (message,) = await setup.poll(1)
        await asyncio.sleep(100)
    assert (message.lease.expired, setup.receivable()) == (set(), 0)


async def test_a_lease_that_could_not_be_extended_expires() -> None:
    """On our own clock, without an answer from SQS."""
    setup = Setup()
    setup.queues.script("change_visibility", *[Fail(call_error())] * 1000)
    async with setup.extending():
        messages = await setup.poll(4)
        await asyncio.sleep(299)
        assert messages[0].lease.expired == set()
        await asyncio.sleep(2)
        assert messages[0].lease.expired == messages[0].lease.handles
        assert list(setup.leases.outstanding()) == []
        calls = len(setup.calls())
        await asyncio.sleep(1000)
        assert len(setup.calls()) == calls
    assert setup.count("lease_expired", queue="events", reason="expired") == 4


async def test_messages_held_too_long_are_released() -> None:
    """They are visible at once, still count as held until their stage settles them, and are no longer written."""
    setup = Setup()
    async with setup.extending():
        messages = await setup.poll(10)
        await asyncio.sleep(HOLD_SECONDS - 1)
        assert setup.receivable() == 0
        await asyncio.sleep(2)
        assert setup.receivable() == 10
    assert messages[0].lease.expired == messages[0].lease.handles
    assert setup.leases.messages_held == 10
    (released,) = setup.queues.releases
    assert len(released) == 10
    assert setup.count("released", queue="events") == 10


async def test_a_failed_release_is_retried() -> None:
    """Until then the messages are ours."""
    setup = Setup(hold_seconds=100)
    setup.queues.script("release", Fail(call_error()))
    async with setup.extending():
        messages = await setup.poll(10)
        await asyncio.sleep(101)
        assert messages[0].lease.expired == set()
        await asyncio.sleep(10)
        assert setup.receivable() == 10
    assert [len(handles) for handles in setup.queues.releases] == [10, 10]


async def test_a_cancelled_release_leaves_the_messages_outstanding() -> None:
    """The release at the end of the process includes what was requested and not answered."""
    setup = Setup(hold_seconds=100)
    hold = Hold()
    setup.queues.script("release", hold)
    async with setup.extending():
        messages = await setup.poll(10)
        await hold.reached.wait()
        assert len(messages[0].lease.expired) == 10
    ((_, handles),) = setup.leases.outstanding()
    assert set(handles) == {one.receipt_handle for one in messages}


async def test_releases_that_hang_hold_up_no_extension() -> None:
    """While SQS does not answer a release, younger leases are extended in time; further releases wait their turn."""
    setup = Setup(hold_seconds=400)
    hangs = [Hold(), Hold(), Hold()]
    setup.queues.script("release", *hangs)
    async with setup.extending():
        old = [await setup.poll(10) for _ in range(3)]
        await asyncio.sleep(350)
        young = await setup.poll(10)
        await hangs[1].reached.wait()
        assert setup.queues.settling == RELEASES_AT_MOST
        await asyncio.sleep(340)
        assert [one.lease.expired for one in young] == [set()] * 10
        assert setup.receivable() == 30  # the old ones, whose visibility has ended by itself
        for hang in hangs:
            hang.release()
        await asyncio.sleep(1)
        assert [messages[0].lease.releasing for messages in old] == [set()] * 3
    assert [len(handles) for handles in setup.queues.releases] == [10, 10, 10]
    assert setup.receivable() == 30


async def test_a_thousand_leases_are_extended_few_calls_at_a_time() -> None:
    """Deletes share the connections; every lease is extended in time."""
    setup = Setup()
    async with setup.extending():
        for _ in range(900):
            await setup.poll(10)
        await settle()
        await asyncio.sleep(400)
    assert setup.queues.settling_most <= 4
    assert setup.receivable() == 0
