"""Receive, when it ends: no poll begins, none is cancelled, and what they bring goes back."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.flow.leases import InFlightLimits
from tests.fakes.queues import Bring, call_error
from tests.fakes.samples import QUEUE
from tests.fakes.store import Hold, Refuse
from tests.fakes.virtual_time import settle
from tests.pipeline.receiver import ROOMY, Stage


async def test_a_stop_lets_open_polls_end_and_hands_back_what_they_bring() -> None:
    """The outbox ends at once; the open poll is not cancelled; its messages are visible again and off the book."""
    stage = Stage()
    hold = Hold()
    stage.queues.script("receive", hold)
    async with stage.running() as room:
        await hold.reached.wait()
        stage.receiver.stop()
        await settle()
        assert stage.outbox.is_ended
        assert not room.done()
        stage.queues.send(QUEUE, ["{}"] * 3)
        hold.release()
        await room
    assert len(stage.queues.released) == 3
    assert [kept.visible_at for kept in stage.queues.left(QUEUE)] == [asyncio.get_running_loop().time()] * 3
    assert (stage.leases.messages_held, stage.leases.bytes_held) == (0, 0)
    assert (len(stage.queues.polls), stage.queues.cancelled_polls) == (1, 0)


async def test_a_hand_back_that_fails_stays_on_the_book() -> None:
    """The room ends all the same; the end of the process finds what is outstanding and tries once more."""
    stage = Stage()
    hold = Hold()
    stage.queues.script("receive", hold)
    stage.queues.script("release", Refuse(call_error()))
    async with stage.running() as room:
        await hold.reached.wait()
        stage.queues.send(QUEUE, ["{}"] * 3)
        stage.receiver.stop()
        hold.release()
        await room
    ((queue, handles),) = stage.leases.outstanding()
    assert (queue, len(handles)) == (QUEUE, 3)


async def test_a_stop_waits_for_a_hand_over_that_has_begun() -> None:
    """With the outbox full, what is on its way still arrives before the end."""
    stage = Stage(capacity=1, polls_at_most=1)
    stage.queues.send(QUEUE, ["{}"] * 20)
    async with stage.running() as room:
        await asyncio.sleep(1)
        stage.receiver.stop()
        await settle()
        assert not room.done()
        received = [delivery async for group in stage.outbox for delivery in group]
        assert len(received) == 20
    assert stage.queues.released == []


@pytest.mark.parametrize("ceiling", [ROOMY, InFlightLimits(messages=10, bytes=1 << 30)])
async def test_a_stop_ends_pauses_and_waits_for_room_at_once(
    ceiling: InFlightLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that backs off, or waits for a lease, is gone before any time has passed."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    stage = Stage(ceiling=ceiling)
    stage.queues.script("receive", Bring(10), *[Refuse(call_error())] * 50)
    async with stage.running() as room:
        await asyncio.sleep(20)
        now = asyncio.get_running_loop().time()
        stage.receiver.stop()
        await room
        assert asyncio.get_running_loop().time() == now


async def test_cancelling_the_room_leaves_on_the_book_what_was_received() -> None:
    """A hard stop finds the handles of what came, and of nothing else."""
    stage = Stage(capacity=1, polls_at_most=1)
    stage.queues.send(QUEUE, ["{}"] * 25)
    room = asyncio.create_task(stage.receiver.run(), name="receive")
    await asyncio.sleep(1)
    room.cancel()
    await asyncio.wait([room])
    assert sum(len(handles) for _, handles in stage.leases.outstanding()) == 20
