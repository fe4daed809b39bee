"""Waiters and the bell: nobody is forgotten, no wake-up is lost, and a notify is heard once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.wakeup import Waiters, WakeEvent
from tests.fakes.virtual_time import VirtualTimeLoop, settle


async def test_who_has_waited_longest_is_woken_first() -> None:
    """First come, first served, one for each wake-up."""
    waiters, woken = Waiters(), list[int]()

    async def wait(number: int) -> None:
        await waiters.wait()
        woken.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(wait(number), name=str(number))
        await settle()
        waiters.wake_one()
        await settle()
        assert (woken, len(waiters)) == ([0], 2)
        waiters.wake_all()
    assert woken == [0, 1, 2]


async def test_a_wake_up_with_nobody_waiting_is_nothing() -> None:
    """It is a hint to who waits, not a permit that is kept."""
    waiters = Waiters()
    waiters.wake_one()
    waiters.wake_all()
    waiting = asyncio.create_task(waiters.wait(), name="wait")
    await settle()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert len(waiters) == 0


async def test_a_wake_up_that_meets_a_cancellation_passes_on() -> None:
    """Woken and cancelled in the same moment, a task leaves its chance to the next in line."""
    waiters = Waiters()
    first, second = (asyncio.create_task(waiters.wait(), name=name) for name in ("first", "second"))
    await settle()
    waiters.wake_one()
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert not second.cancelled()


async def test_a_cancelled_waiter_is_passed_over() -> None:
    """A wake-up is not spent on somebody who has gone."""
    waiters = Waiters()
    first, second = (asyncio.create_task(waiters.wait(), name=name) for name in ("first", "second"))
    await settle()
    first.cancel()
    waiters.wake_one()
    await second


@given(cancelled=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=8), wakes=st.integers(0, 8))
def test_as_many_go_on_as_were_woken(cancelled: list[tuple[int, bool]], wakes: int) -> None:
    """Whoever is cancelled, before or after the wake-ups: each wake-up lets one go on while anybody waits."""

    async def scene() -> None:
        waiters = Waiters()
        tasks = [asyncio.create_task(waiters.wait(), name=str(number)) for number in range(8)]
        await settle()
        for number, _ in (one for one in cancelled if one[1]):
            tasks[number].cancel()
        for _ in range(wakes):
            waiters.wake_one()
        for number, _ in (one for one in cancelled if not one[1]):
            tasks[number].cancel()
        await settle()
        gone = {number for number, _ in cancelled}
        went_on = sum(task.done() and not task.cancelled() for task in tasks)
        assert went_on == min(wakes, 8 - len(gone))
        waiters.wake_all()
        await asyncio.wait(tasks)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


async def test_a_ring_before_the_sleep_is_remembered_once() -> None:
    """Many notifications count as one; the sleep after it lasts."""
    bell = WakeEvent()
    bell.notify()
    bell.notify()
    await bell.wait()
    begun = asyncio.get_running_loop().time()
    await bell.wait(until=begun + 5)
    assert asyncio.get_running_loop().time() == begun + 5


async def test_a_ring_ends_the_sleep() -> None:
    """Before its time, without waiting for it."""
    bell = WakeEvent()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    loop.call_later(2, bell.notify)
    await bell.wait(until=begun + 5)
    assert loop.time() == begun + 2


async def test_a_sleep_that_is_over_already_does_not_swallow_a_ring() -> None:
    """A time in the past ends the sleep at once; a notify that came with it is heard or kept."""
    bell = WakeEvent()
    now = asyncio.get_running_loop().time()
    await bell.wait(until=now - 1)
    assert asyncio.get_running_loop().time() == now
    sleeping = asyncio.create_task(bell.wait(until=now), name="sleep")
    await asyncio.sleep(0)
    bell.notify()
    await sleeping
    await bell.wait(until=now)


async def test_a_cancelled_sleep_keeps_the_ring() -> None:
    """Who lies down next hears what the cancelled sleeper no longer could."""
    bell = WakeEvent()
    sleeping = asyncio.create_task(bell.wait(), name="sleep")
    await settle()
    bell.notify()
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    await bell.wait()
