"""Batch: why a batch leaves, when, and what it never does to a delivery."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from subscriber.model import Delivery
from tests.fakes.samples import delivery, object_event, put
from tests.fakes.virtual_time import VirtualTimeLoop, settle
from tests.pipeline.batcher import OPTIONS, Stage, deliveries


async def test_a_full_batch_leaves_at_once() -> None:
    """No linger, whatever the limiter: it waits for the limiter in the next room, and the rest begins a new one."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        await stage.inbox.send(deliveries(25))
        await settle()
        assert stage.left() == [("full", 10), ("full", 10)]


async def test_a_batch_is_due_when_its_first_delivery_has_lingered() -> None:
    """Not a moment earlier or later, however many come after the first; idle time before it does not count."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(7)
        begun = asyncio.get_running_loop().time()
        for _ in range(3):
            await stage.inbox.send(deliveries(1))
            await asyncio.sleep(0.05)
        left = await stage.outbox.receive()
        assert asyncio.get_running_loop().time() == begun + OPTIONS.linger_seconds
    assert (left.trigger, len(left.deliveries), left.opened_at) == ("due", 3, begun)


async def test_the_end_drains_the_batch() -> None:
    """What is open leaves at once, then the outbox ends."""
    stage = Stage()
    begun = asyncio.get_running_loop().time()
    async with stage.running():
        await stage.inbox.send(deliveries(3))
    assert stage.left() == [("drain", 3)]
    assert stage.outbox.is_ended
    assert asyncio.get_running_loop().time() == begun


async def test_the_end_of_nothing_is_no_batch() -> None:
    """An empty batch never leaves."""
    stage = Stage()
    async with stage.running():
        await settle()
    assert stage.left() == []
    assert stage.outbox.is_ended


async def test_behind_a_shut_gate_a_due_batch_goes_on_growing() -> None:
    """It leaves when the limiter opens, with all that came meanwhile."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        for _ in range(3):
            await stage.inbox.send(deliveries(2))
            await asyncio.sleep(5)
        assert stage.left() == []
        assert stage.limiter.saturations > 0
        stage.open_limiter()
        await settle()
        assert stage.left() == [("due", 6)]


async def test_only_a_batch_that_is_due_is_short_of_room() -> None:
    """Not one that lingers, not the empty one after it, and none while the limiter has room."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        await asyncio.sleep(1)
        await stage.inbox.send(deliveries(1))
        await asyncio.sleep(OPTIONS.linger_seconds / 2)
        assert stage.limiter.saturations == 0
        stage.open_limiter()
        await asyncio.sleep(60)
        stage.limiter.has_capacity = False
        stage.batcher.notify()
        await settle()
        assert stage.limiter.saturations == 0


async def test_behind_a_shut_gate_a_batch_grows_to_the_maximum() -> None:
    """Then it leaves as full and the next begins."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        for _ in range(6):
            await stage.inbox.send(deliveries(2))
            await asyncio.sleep(5)
        assert stage.left() == [("full", 10)]


async def test_a_gate_that_opens_before_the_linger_is_over_hurries_nothing() -> None:
    """The batch still gets its time to grow."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        await stage.inbox.send(deliveries(1))
        await asyncio.sleep(0.1)
        stage.open_limiter()
        await asyncio.sleep(0.1)
        assert stage.left() == []
        await asyncio.sleep(0.1)
        assert stage.left() == [("due", 1)]


async def test_a_delivery_is_never_split() -> None:
    """One that does not fit starts the next batch; the one before it leaves as full though it is not."""
    stage = Stage()
    async with stage.running():
        await stage.inbox.send((*deliveries(1, rows=6), *deliveries(1, rows=5), *deliveries(1, rows=4)))
        await settle()
        assert stage.left() == [("full", 1)]
        await asyncio.sleep(1)
        assert stage.left() == [("due", 2)]


async def test_a_first_delivery_always_fits() -> None:
    """Ten thousand records in one message are one batch, alone."""
    stage = Stage()
    async with stage.running():
        await stage.inbox.send((put("before"), *deliveries(1, rows=10_000), put("after")))
        await settle()
        assert stage.left() == [("full", 1), ("full", 1)]


async def test_messages_without_rows_count() -> None:
    """A batch of test events ends too."""
    stage = Stage()
    async with stage.running():
        await stage.inbox.send(deliveries(45, rows=0))
        await settle()
        assert stage.left() == [("full", 20), ("full", 20)]


async def test_an_idle_room_sets_no_timer() -> None:
    """With nothing open it sleeps by its bell alone: no wake-up, no CPU; the same behind a shut limiter when due."""
    stage = Stage()
    async with stage.running():
        await settle()
        assert timers() == 0
        stage.limiter.has_capacity = False
        await stage.inbox.send(deliveries(1))
        await asyncio.sleep(1)
        assert timers() == 0


def timers() -> int:
    """How many timers the running loop waits for."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]  # the loop's own


async def test_rows_are_folded_and_in_key_order() -> None:
    """One row per object version, the newest; the count for *full* is taken before folding."""
    stage = Stage()
    older, newer = object_event("b", sequencer="1"), object_event("b", sequencer="2")
    async with stage.running():
        await stage.inbox.send((delivery(newer), delivery(older, object_event("a"))))
    left = stage.outbox.receive_nowait()
    assert left is not None
    assert left.rows == (object_event("a"), newer)
    assert stage.metrics.registry.get_sample_value("subscriber_batch_rows_sum") == 2
    assert stage.metrics.registry.get_sample_value("subscriber_batches_total", {"trigger": "drain"}) == 1


async def test_a_full_outbox_makes_the_room_wait() -> None:
    """It takes in no more than one batch while the next room is busy."""
    stage = Stage(capacity=1)
    async with stage.running():
        for one in deliveries(50):
            await stage.inbox.send((one,))
        await settle()
        assert len(stage.inbox) == 30
        for _ in range(5):
            assert stage.left() == [("full", 10)]
            await settle()


@given(groups=st.lists(st.tuples(st.floats(0, 0.6), st.lists(st.integers(0, 12), max_size=8)), min_size=1, max_size=12))
def test_any_arrivals_leave_whole_in_order_and_in_time(groups: list[tuple[float, list[int]]]) -> None:
    """With the limiter open: nothing lost, split or overtaken, no batch too large, none later than its linger."""
    sent = [tuple(deliveries(1, rows=rows)[0] for rows in sizes) for _, sizes in groups]

    async def scene() -> None:
        stage = Stage()
        clock = asyncio.get_running_loop().time
        arrived: dict[str, float] = {}
        out: list[Delivery] = []

        async def collect() -> None:
            async for batch in stage.outbox:
                first = batch.deliveries[0]
                assert clock() <= arrived[first.message.message_id] + OPTIONS.linger_seconds + 1e-9
                rows = sum(len(one.events) for one in batch.deliveries)
                assert len(batch.deliveries) <= OPTIONS.max_messages
                assert rows <= OPTIONS.max_rows or len(batch.deliveries) == 1
                out.extend(batch.deliveries)

        async with asyncio.TaskGroup() as group:
            group.create_task(collect(), name="collect")
            async with stage.running():
                for (pause_seconds, _), ones in zip(groups, sent, strict=True):
                    await asyncio.sleep(pause_seconds)
                    arrived.update({one.message.message_id: clock() for one in ones})
                    await stage.inbox.send(ones)
        assert out == [one for ones in sent for one in ones]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


async def test_a_smaller_size_holds_at_once() -> None:
    """What has been gathered beyond it leaves together, full; the next batches are of the new size."""
    stage = Stage()
    async with stage.running():
        await stage.inbox.send(deliveries(7))
        await settle()
        stage.batcher.set_rows_at_most(4)
        await stage.inbox.send(deliveries(8))
        await settle()
        assert stage.left() == [("full", 7), ("full", 4), ("full", 4)]
    assert stage.batcher.rows_at_most == 4


async def test_a_larger_size_holds_for_the_open_batch_too() -> None:
    """It goes on growing."""
    stage = Stage()
    stage.limiter.has_capacity = False
    async with stage.running():
        await stage.inbox.send(deliveries(9))
        await settle()
        stage.batcher.set_rows_at_most(15)
        await stage.inbox.send(deliveries(6))
        await settle()
        assert stage.left() == [("full", 15)]
