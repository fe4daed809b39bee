"""Waiters and wake events: no waiter is forgotten, no wake-up is lost, and a notification counts once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.wakeup import Waiters, WakeEvent
from tests.fakes.virtual_time import VirtualTimeLoop, settle


async def test_the_longest_waiting_task_is_woken_first() -> None:
    """FIFO, one task for each wake-up."""
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


async def test_a_wake_up_without_waiters_is_not_kept() -> None:
    """It is a hint to waiting tasks, not a permit."""
    waiters = Waiters()
    waiters.wake_one()
    waiters.wake_all()
    waiting = asyncio.create_task(waiters.wait(), name="wait")
    await settle()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert len(waiters) == 0


async def test_a_task_that_is_woken_and_cancelled_passes_the_wake_up_on() -> None:
    """The next waiter is woken instead."""
    waiters = Waiters()
    first, second = (asyncio.create_task(waiters.wait(), name=name) for name in ("first", "second"))
    await settle()
    waiters.wake_one()
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert not second.cancelled()


async def test_a_cancelled_waiter_is_skipped() -> None:
    """It does not consume a wake-up."""
    waiters = Waiters()
    first, second = (asyncio.create_task(waiters.wait(), name=name) for name in ("first", "second"))
    await settle()
    first.cancel()
    waiters.wake_one()
    await second


@given(cancelled=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=8), wakes=st.integers(0, 8))
def test_each_wake_up_resumes_one_task(cancelled: list[tuple[int, bool]], wakes: int) -> None:
    """As long as a task waits, whichever tasks are cancelled before or after the wake-ups."""

    async def scenario() -> None:
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
        runner.run(scenario())


async def test_notifications_before_a_wait_count_once() -> None:
    """The first wait returns at once, the second one waits."""
    wake = WakeEvent()
    wake.notify()
    wake.notify()
    await wake.wait()
    begun = asyncio.get_running_loop().time()
    await wake.wait(until=begun + 5)
    assert asyncio.get_running_loop().time() == begun + 5


async def test_a_notification_ends_the_wait() -> None:
    """Before its time limit."""
    wake = WakeEvent()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    loop.call_later(2, wake.notify)
    await wake.wait(until=begun + 5)
    assert loop.time() == begun + 2


async def test_a_wait_that_is_already_over_loses_no_notification() -> None:
    """A time in the past ends the wait at once; a notification at the same moment counts now or for the next wait."""
    wake = WakeEvent()
    now = asyncio.get_running_loop().time()
    await wake.wait(until=now - 1)
    assert asyncio.get_running_loop().time() == now
    waiting = asyncio.create_task(wake.wait(until=now), name="wait")
    await asyncio.sleep(0)
    wake.notify()
    await waiting
    await wake.wait(until=now)


async def test_a_cancelled_wait_keeps_the_notification() -> None:
    """The next wait returns at once."""
    wake = WakeEvent()
    waiting = asyncio.create_task(wake.wait(), name="wait")
    await settle()
    wake.notify()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wake.wait()
