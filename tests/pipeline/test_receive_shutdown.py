"""Shutdown of receive: no poll begins, none is cancelled, and late messages are released."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.flow.leases import InFlightLimits
from tests.fakes.queues import Deliver, call_error
from tests.fakes.samples import QUEUE
from tests.fakes.store import Fail, Hold
from tests.fakes.virtual_time import settle
from tests.pipeline.receiver import ROOMY, Setup


async def test_a_stop_lets_open_polls_end_and_releases_their_messages() -> None:
    """The outbox ends at once; the open poll is not cancelled; its messages are visible again and settled."""
    setup = Setup()
    hold = Hold()
    setup.queues.script("receive", hold)
    async with setup.running() as task:
        await hold.reached.wait()
        setup.receiver.stop()
        await settle()
        assert setup.outbox.is_ended
        assert not task.done()
        setup.queues.send(QUEUE, ["{}"] * 3)
        hold.release()
        await task
    assert [len(handles) for handles in setup.queues.releases] == [3]
    assert [kept.visible_at for kept in setup.queues.left(QUEUE)] == [asyncio.get_running_loop().time()] * 3
    assert (setup.leases.messages_held, setup.leases.bytes_held) == (0, 0)
    assert (len(setup.queues.polls), setup.queues.cancelled_polls) == (1, 0)


async def test_messages_whose_release_failed_stay_outstanding() -> None:
    """The stage ends all the same; the end of the process releases outstanding messages once more."""
    setup = Setup()
    hold = Hold()
    setup.queues.script("receive", hold)
    setup.queues.script("release", Fail(call_error()))
    async with setup.running() as task:
        await hold.reached.wait()
        setup.queues.send(QUEUE, ["{}"] * 3)
        setup.receiver.stop()
        hold.release()
        await task
    ((queue, handles),) = setup.leases.outstanding()
    assert (queue, len(handles)) == (QUEUE, 3)


async def test_a_stop_waits_for_a_send_that_has_begun() -> None:
    """With a full outbox, the messages of that send still arrive before the end."""
    setup = Setup(capacity=1, polls_at_most=1)
    setup.queues.send(QUEUE, ["{}"] * 20)
    async with setup.running() as task:
        await asyncio.sleep(1)
        setup.receiver.stop()
        await settle()
        assert not task.done()
        received = [delivery async for group in setup.outbox for delivery in group]
        assert len(received) == 20
    assert setup.queues.releases == []


@pytest.mark.parametrize("limits", [ROOMY, InFlightLimits(messages=10, bytes=1 << 30)])
async def test_a_stop_ends_delays_and_waits_for_leases_at_once(
    limits: InFlightLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that backs off or waits for a lease ends before any time has passed."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    setup = Setup(limits=limits)
    setup.queues.script("receive", Deliver(10), *[Fail(call_error())] * 50)
    async with setup.running() as task:
        await asyncio.sleep(20)
        now = asyncio.get_running_loop().time()
        setup.receiver.stop()
        await task
        assert asyncio.get_running_loop().time() == now


async def test_cancelling_the_stage_leaves_received_messages_outstanding() -> None:
    """A hard stop finds the handles of received messages, and no others."""
    setup = Setup(capacity=1, polls_at_most=1)
    setup.queues.send(QUEUE, ["{}"] * 25)
    task = asyncio.create_task(setup.receiver.run(), name="receive")
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert sum(len(handles) for _, handles in setup.leases.outstanding()) == 20
