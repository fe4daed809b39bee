"""Batch: when a batch is closed, and why; deliveries stay whole and in order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from subscriber.model import Delivery
from tests.fakes.samples import delivery, object_event, put
from tests.fakes.virtual_time import VirtualTimeLoop, settle
from tests.pipeline.batcher import OPTIONS, Setup, deliveries


async def test_a_full_batch_is_sent_at_once() -> None:
    """Without linger, even without capacity: the write stage waits for the limiter. The rest begins a new batch."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        await setup.inbox.send(deliveries(25))
        await settle()
        assert setup.sent() == [("full", 10), ("full", 10)]


async def test_a_batch_is_due_when_its_first_delivery_has_lingered() -> None:
    """No earlier and no later, however many follow the first; idle time before it does not count."""
    setup = Setup()
    async with setup.running():
        await asyncio.sleep(7)
        begun = asyncio.get_running_loop().time()
        for _ in range(3):
            await setup.inbox.send(deliveries(1))
            await asyncio.sleep(0.05)
        left = await setup.outbox.receive()
        assert asyncio.get_running_loop().time() == begun + OPTIONS.linger_seconds
    assert (left.trigger, len(left.deliveries), left.opened_at) == ("due", 3, begun)


async def test_the_end_drains_the_batch() -> None:
    """The open batch is sent at once, then the outbox ends."""
    setup = Setup()
    begun = asyncio.get_running_loop().time()
    async with setup.running():
        await setup.inbox.send(deliveries(3))
    assert setup.sent() == [("drain", 3)]
    assert setup.outbox.is_ended
    assert asyncio.get_running_loop().time() == begun


async def test_the_end_of_nothing_is_no_batch() -> None:
    """An empty batch is never sent."""
    setup = Setup()
    async with setup.running():
        await settle()
    assert setup.sent() == []
    assert setup.outbox.is_ended


async def test_without_capacity_a_due_batch_keeps_growing() -> None:
    """It is sent when the limiter has capacity, with every delivery that arrived meanwhile."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        for _ in range(3):
            await setup.inbox.send(deliveries(2))
            await asyncio.sleep(5)
        assert setup.sent() == []
        assert setup.limiter.saturations > 0
        setup.free_limiter()
        await settle()
        assert setup.sent() == [("due", 6)]


async def test_only_a_due_batch_marks_the_limiter_saturated() -> None:
    """Not one that lingers, not an empty one, and none while the limiter has capacity."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        await asyncio.sleep(1)
        await setup.inbox.send(deliveries(1))
        await asyncio.sleep(OPTIONS.linger_seconds / 2)
        assert setup.limiter.saturations == 0
        setup.free_limiter()
        await asyncio.sleep(60)
        setup.limiter.is_full = True
        setup.batcher.notify()
        await settle()
        assert setup.limiter.saturations == 0


async def test_without_capacity_a_batch_grows_to_the_maximum() -> None:
    """Then it is sent as full and the next one begins."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        for _ in range(6):
            await setup.inbox.send(deliveries(2))
            await asyncio.sleep(5)
        assert setup.sent() == [("full", 10)]


async def test_capacity_before_the_end_of_the_linger_closes_no_batch() -> None:
    """The batch keeps its time to grow."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        await setup.inbox.send(deliveries(1))
        await asyncio.sleep(0.1)
        setup.free_limiter()
        await asyncio.sleep(0.1)
        assert setup.sent() == []
        await asyncio.sleep(0.1)
        assert setup.sent() == [("due", 1)]


async def test_a_delivery_is_never_split() -> None:
    """One that does not fit starts the next batch; the batch before it is sent as full though it is not."""
    setup = Setup()
    async with setup.running():
        await setup.inbox.send((*deliveries(1, rows=6), *deliveries(1, rows=5), *deliveries(1, rows=4)))
        await settle()
        assert setup.sent() == [("full", 1)]
        await asyncio.sleep(1)
        assert setup.sent() == [("due", 2)]


async def test_a_first_delivery_always_fits() -> None:
    """Ten thousand records in one message are one batch, alone."""
    setup = Setup()
    async with setup.running():
        await setup.inbox.send((put("before"), *deliveries(1, rows=10_000), put("after")))
        await settle()
        assert setup.sent() == [("full", 1), ("full", 1)]


async def test_messages_without_rows_count() -> None:
    """They fill a batch, too."""
    setup = Setup()
    async with setup.running():
        await setup.inbox.send(deliveries(45, rows=0))
        await settle()
        assert setup.sent() == [("full", 20), ("full", 20)]


async def test_an_idle_stage_sets_no_timer() -> None:
    """It waits for its wake event alone and uses no CPU; so does a due batch without capacity."""
    setup = Setup()
    async with setup.running():
        await settle()
        assert timers() == 0
        setup.limiter.is_full = True
        await setup.inbox.send(deliveries(1))
        await asyncio.sleep(1)
        assert timers() == 0


def timers() -> int:
    """How many timers the running loop waits for."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]  # the loop's own


async def test_rows_are_folded_and_in_key_order() -> None:
    """One row per object version, the newest; the count for *full* is taken before folding."""
    setup = Setup()
    older, newer = object_event("b", sequencer="1"), object_event("b", sequencer="2")
    async with setup.running():
        await setup.inbox.send((delivery(newer), delivery(older, object_event("a"))))
    left = setup.outbox.receive_nowait()
    assert left is not None
    assert left.rows == (object_event("a"), newer)
    assert setup.metrics.registry.get_sample_value("subscriber_batch_rows_sum") == 2
    assert setup.metrics.registry.get_sample_value("subscriber_batches_total", {"trigger": "drain"}) == 1


async def test_a_full_outbox_makes_the_stage_wait() -> None:
    """It gathers no more than one batch while the next stage is busy."""
    setup = Setup(capacity=1)
    async with setup.running():
        for one in deliveries(50):
            await setup.inbox.send((one,))
        await settle()
        assert len(setup.inbox) == 30
        for _ in range(5):
            assert setup.sent() == [("full", 10)]
            await settle()


@given(groups=st.lists(st.tuples(st.floats(0, 0.6), st.lists(st.integers(0, 12), max_size=8)), min_size=1, max_size=12))
def test_any_deliveries_are_sent_whole_in_order_and_in_time(groups: list[tuple[float, list[int]]]) -> None:
    """With capacity: no delivery is lost, split or reordered, no batch is too large or later than its linger."""
    sent = [tuple(deliveries(1, rows=rows)[0] for rows in sizes) for _, sizes in groups]

    async def scenario() -> None:
        setup = Setup()
        clock = asyncio.get_running_loop().time
        arrived: dict[str, float] = {}
        out: list[Delivery] = []

        async def collect() -> None:
            async for batch in setup.outbox:
                first = batch.deliveries[0]
                assert clock() <= arrived[first.message.message_id] + OPTIONS.linger_seconds + 1e-9
                rows = sum(len(one.events) for one in batch.deliveries)
                assert len(batch.deliveries) <= OPTIONS.max_messages
                assert rows <= OPTIONS.max_rows or len(batch.deliveries) == 1
                out.extend(batch.deliveries)

        async with asyncio.TaskGroup() as group:
            group.create_task(collect(), name="collect")
            async with setup.running():
                for (pause_seconds, _), ones in zip(groups, sent, strict=True):
                    await asyncio.sleep(pause_seconds)
                    arrived.update({one.message.message_id: clock() for one in ones})
                    await setup.inbox.send(ones)
        assert out == [one for ones in sent for one in ones]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_a_smaller_size_applies_at_once() -> None:
    """Rows that are gathered already stay in one batch; the next batches have the new size."""
    setup = Setup()
    async with setup.running():
        await setup.inbox.send(deliveries(7))
        await settle()
        setup.batcher.set_rows_at_most(4)
        await setup.inbox.send(deliveries(8))
        await settle()
        assert setup.sent() == [("full", 7), ("full", 4), ("full", 4)]
    assert setup.batcher.rows_at_most == 4


async def test_a_larger_size_applies_to_the_open_batch() -> None:
    """It keeps growing."""
    setup = Setup()
    setup.limiter.is_full = True
    async with setup.running():
        await setup.inbox.send(deliveries(9))
        await settle()
        setup.batcher.set_rows_at_most(15)
        await setup.inbox.send(deliveries(6))
        await settle()
        assert setup.sent() == [("full", 15)]
