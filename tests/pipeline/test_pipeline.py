"""The whole line: what is received is stored, deleted and let go, and no failure is silent."""

from __future__ import annotations

import asyncio
import gc
import weakref

import msgspec
import pytest

from subscriber.errors import Treatment
from subscriber.model import Lease, Message
from tests.fakes.queues import FailEntries, FakeQueues, call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE, failing, put_body
from tests.fakes.store import Refuse
from tests.pipeline.pipelines import CEILING, Stage, rest_of


async def test_ten_thousand_messages_are_stored_deleted_and_let_go() -> None:
    """Each received once, none held at the end, never more held than the ceiling, big batches, bounded writes."""
    stage = Stage()
    sent = stage.send(8000) | stage.send(2000, OTHER_QUEUE)
    held_most = 0
    async with stage.running():
        for _ in range(600):
            await asyncio.sleep(0.05)
            held_most = max(held_most, stage.leases.messages_held)
        assert stage.left() == 0
    assert stage.keys() == sent
    assert stage.is_dry()
    assert stage.store.active_most <= 4
    assert 1000 < held_most <= CEILING.messages
    assert stage.count("received_messages_total", queue="events") == 8000
    assert stage.count("acknowledged_messages_total", queue="archive") == 2000
    assert len(stage.store.stored) < 10_000 / 50


async def test_a_single_message_is_through_within_its_linger() -> None:
    """Light load costs the linger and the round trips, nothing else."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(30)
        stage.send(1)
        await asyncio.sleep(0.25 + 0.05)
        assert len(stage.keys()) == 1
        assert stage.left() == 0


async def test_a_batch_that_waits_for_the_gate_leaves_when_the_rest_is_over() -> None:
    """Though nothing else happens that could remind it: the limiter notifications."""
    stage = Stage(limit=0.05)
    async with stage.running():
        await rest_of(stage)
        sent = stage.send(10)
        await asyncio.sleep(9)
        assert len(stage.keys()) == 1
        await asyncio.sleep(0.6)
        assert stage.keys() >= sent


async def test_every_kind_of_message_takes_the_same_road() -> None:
    """Good, unreadable and silent ones are all deleted; the unreadable one lies in quarantine."""
    stage = Stage()
    stage.queues.send(QUEUE, [put_body("a"), "not JSON", '{"Service":"Amazon S3","Event":"s3:TestEvent"}'])
    async with stage.running():
        await asyncio.sleep(1)
    assert (stage.left(), stage.keys()) == (0, {"a"})
    assert [one.body for one in stage.store.quarantined.values()] == ["not JSON"]


async def test_while_the_database_is_away_nothing_is_received() -> None:
    """Polls that are open end, no other begins; afterwards everything is stored though nothing was held."""
    stage = Stage()
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 4)
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 5, call="ping")
    stage.send(10)
    async with stage.running():
        await asyncio.sleep(1)
        assert stage.count("database_available") == 0
        polls = len(stage.queues.polls)
        sent = stage.send(500)
        await asyncio.sleep(3)
        assert len(stage.queues.polls) == polls
        assert stage.leases.messages_held <= 40
        await asyncio.sleep(60)
        assert stage.count("database_available") == 1
        assert (stage.left(), stage.keys()) == (0, sent)


@pytest.mark.parametrize("call", ["receive", "delete", "store", "ping"])
async def test_a_room_that_dies_ends_the_line_with_its_error(call: str) -> None:
    """A bug is neither swallowed nor waited for, and no task is left behind; the book knows what to hand back."""
    stage = Stage()
    if call == "ping":
        stage.store.script(Refuse(failing(Treatment.RECONNECT)))
        stage.store.script(Refuse(KeyError("a bug")), call="ping")
    elif call == "store":
        stage.store.script(Refuse(KeyError("a bug")))
    else:
        stage.queues.script("delete" if call == "delete" else "receive", Refuse(KeyError("a bug")))
    stage.send(5)
    with pytest.raises(ExceptionGroup) as raised:
        await stage.line.run()
    assert raised.group_contains(KeyError)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert sum(len(handles) for _, handles in stage.leases.outstanding()) == (0 if call == "receive" else 5)


class Name(str):
    """A message's id whose end can be seen: nothing but its message holds it."""

    __slots__ = ("__weakref__",)


class WatchedQueues(FakeQueues):
    """Remembers, without holding them, the ids of the messages that it gave away."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[weakref.ref[Name]] = []

    async def receive(self, lease: Lease) -> list[Message]:
        """As ever, with ids of our own."""
        received = await super().receive(lease)
        names = [Name(one.message_id) for one in received]
        self.given.extend(weakref.ref(name) for name in names)
        return [msgspec.structs.replace(one, message_id=name) for one, name in zip(received, names, strict=True)]


async def test_messages_are_freed_when_the_line_has_let_them_go() -> None:
    """They are hidden from the garbage collector, so one that is part of a cycle would stay for ever."""
    queues = WatchedQueues()
    stage = Stage(queues=queues)
    stage.store.script(Refuse(failing(Treatment.RETRY)), None, Refuse(failing(Treatment.RECONNECT)))
    queues.script("delete", Refuse(call_error()), FailEntries({1: "InternalError"}), *[None] * 5, Refuse(call_error()))
    stage.send(3000)
    async with stage.running():
        await asyncio.sleep(60)
        stage.send(1)
        await asyncio.sleep(60)
        gc.collect()
        assert len(queues.given) == 3001
        assert all(name() is None for name in queues.given[:3000])  # an idle room still knows the last batch it saw
