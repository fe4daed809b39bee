"""The whole pipeline: received messages are stored, deleted and freed, and no failure is silent."""

from __future__ import annotations

import asyncio
import gc
import weakref

import msgspec
import pytest

from subscriber.errors import Treatment
from subscriber.flow.breaker import OPEN_AFTER_SECONDS
from subscriber.model import Lease, Message
from tests.fakes.queues import FailEntries, FakeQueues, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, failing, put_body
from tests.fakes.store import Fail
from tests.pipeline.pipelines import LIMITS, Setup, cool_down_after_write


async def test_ten_thousand_messages_are_stored_deleted_and_freed() -> None:
    """Each is received once; what is held and reserved stays within the limit; batches are large and writes bounded."""
    setup = Setup()
    sent = setup.send(8000) | setup.send(2000, OTHER_QUEUE)
    held_most = 0
    async with setup.running():
        for _ in range(600):
            await asyncio.sleep(0.05)
            held_most = max(held_most, setup.leases.messages_held + setup.leases.messages_reserved)
        assert setup.left() == 0
    assert setup.keys() == sent
    assert setup.is_drained()
    assert setup.store.active_most <= 4
    assert 1000 < held_most <= LIMITS.messages
    assert setup.count("received_messages_total", queue="events") == 8000
    assert setup.count("acknowledged_messages_total", queue="archive") == 2000
    assert len(setup.store.stored) < 10_000 / 50


async def test_a_single_message_is_stored_within_its_linger() -> None:
    """A light load costs the linger and the round trips, nothing else."""
    setup = Setup()
    async with setup.running():
        await asyncio.sleep(30)
        setup.send(1)
        await asyncio.sleep(0.25 + 0.05)
        assert len(setup.keys()) == 1
        assert setup.left() == 0


async def test_a_batch_that_waits_for_the_limiter_is_sent_after_the_cool_down() -> None:
    """The limiter wakes it, though nothing else happens."""
    setup = Setup(limit=0.05)
    async with setup.running():
        await cool_down_after_write(setup)
        sent = setup.send(10)
        await asyncio.sleep(9)
        assert len(setup.keys()) == 1
        await asyncio.sleep(0.6)
        assert setup.keys() >= sent


async def test_every_kind_of_message_is_deleted() -> None:
    """Valid, unreadable and ignored ones; the unreadable one is in the quarantine."""
    setup = Setup()
    setup.queues.send(QUEUE, [put_body("a"), "not JSON", '{"Service":"Amazon S3","Event":"s3:TestEvent"}'])
    async with setup.running():
        await asyncio.sleep(1)
    assert (setup.left(), setup.keys()) == (0, {"a"})
    assert [one.body for one in setup.store.quarantined.values()] == ["not JSON"]


async def test_nothing_is_received_while_the_database_is_unavailable() -> None:
    """Open polls end and no other begins; afterwards everything is stored."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 20)
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 5, call="ping")
    setup.send(10)
    async with setup.running():
        await asyncio.sleep(OPEN_AFTER_SECONDS + 0.5)
        assert setup.count("database_available") == 0
        polls = len(setup.queues.polls)
        sent = setup.send(500)
        await asyncio.sleep(3)
        assert len(setup.queues.polls) == polls
        assert setup.leases.messages_held <= 40
        await asyncio.sleep(60)
        assert setup.count("database_available") == 1
        assert (setup.left(), setup.keys()) == (0, sent)


@pytest.mark.parametrize("call", ["receive", "delete", "store", "ping"])
async def test_a_stage_that_fails_ends_the_pipeline_with_its_exception(call: str) -> None:
    """A bug is neither swallowed nor retried, no task is left behind, and received messages are outstanding."""
    setup = Setup()
    if call == "ping":
        setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 20)
        setup.store.script(Fail(KeyError("a bug")), call="ping")
    elif call == "store":
        setup.store.script(Fail(KeyError("a bug")))
    else:
        setup.queues.script("delete" if call == "delete" else "receive", Fail(KeyError("a bug")))
    setup.send(5)
    with pytest.raises(ExceptionGroup) as raised:
        await setup.pipeline.run()
    assert raised.group_contains(KeyError)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert sum(len(handles) for _, handles in setup.leases.outstanding()) == (0 if call == "receive" else 5)


class WatchedId(str):
    """A message id with a weak reference: only its message refers to it."""

    __slots__ = ("__weakref__",)


class WatchedQueues(FakeQueues):
    """Keeps weak references to the ids of the messages that it has delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[weakref.ref[WatchedId]] = []

    async def receive(self, lease: Lease) -> list[Message]:
        """Receive, with ids that can be watched."""
        received = await super().receive(lease)
        names = [WatchedId(one.message_id) for one in received]
        self.delivered.extend(weakref.ref(name) for name in names)
        return [msgspec.structs.replace(one, message_id=name) for one, name in zip(received, names, strict=True)]


async def test_settled_messages_are_freed() -> None:
    """The garbage collector does not track them, so a message in a reference cycle would never be freed."""
    queues = WatchedQueues()
    setup = Setup(queues=queues)
    setup.store.script(Fail(failing(Treatment.RETRY)), None, Fail(failing(Treatment.RECONNECT)))
    queues.script("delete", Fail(call_error()), FailEntries({1: "InternalError"}), *[None] * 5, Fail(call_error()))
    setup.send(3000)
    async with setup.running():
        await asyncio.sleep(60)
        setup.send(1)
        await asyncio.sleep(60)
        gc.collect()
        assert len(queues.delivered) == 3001
        assert all(name() is None for name in queues.delivered[:3000])  # an idle stage still refers to its last batch
