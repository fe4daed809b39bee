"""What the limiter tells of itself: how much it was used, how long a due write had to wait, and that a pause holds."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.signals import LimiterUsage
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@given(stays=st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 3)), max_size=12), permits=st.integers(1, 4))
def test_use_is_the_sum_of_all_stays(stays: list[tuple[float, float]], permits: int) -> None:
    """Whatever comes and goes, permit-seconds are the seconds that every one of them was inside."""

    async def scene() -> None:
        limiter = ConcurrencyLimiter(permits)
        clock = asyncio.get_running_loop().time
        inside = 0.0

        async def write(pause_seconds: float, work_seconds: float) -> None:
            nonlocal inside
            await asyncio.sleep(pause_seconds)
            await limiter.enter()
            entered_at = clock()
            await asyncio.sleep(work_seconds)
            limiter.leave(clock() - entered_at)
            inside += clock() - entered_at

        async with asyncio.TaskGroup() as group:
            for stay in stays:
                group.create_task(write(*stay), name="write")
        assert limiter.usage().permit_seconds == pytest.approx(inside)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


async def test_an_idle_gate_uses_nothing() -> None:
    """Whatever its limit, and however long."""
    limiter = ConcurrencyLimiter(8)
    await asyncio.sleep(1000)
    assert limiter.usage() == LimiterUsage(permit_seconds=0, saturated_seconds=0)


async def test_waiting_for_a_place_is_a_shortage() -> None:
    """From when a writer begins to wait to when it is let in; the use goes on meanwhile."""
    limiter = ConcurrencyLimiter(1)
    await limiter.enter()
    await asyncio.sleep(1)
    waiting = asyncio.create_task(limiter.enter(), name="enter")
    await asyncio.sleep(2)
    assert limiter.usage() == LimiterUsage(permit_seconds=3, saturated_seconds=2)
    limiter.leave(3)
    await waiting
    await asyncio.sleep(4)
    assert limiter.usage() == LimiterUsage(permit_seconds=7, saturated_seconds=2)


async def test_a_due_batch_that_waits_outside_is_a_shortage_too() -> None:
    """Noted once or often, it lasts until a permit is next taken."""
    limiter = ConcurrencyLimiter(1)
    await limiter.enter()
    limiter.mark_saturated()
    await asyncio.sleep(1)
    limiter.mark_saturated()
    await asyncio.sleep(1)
    limiter.leave(2)
    await limiter.enter()
    await asyncio.sleep(5)
    assert limiter.usage().saturated_seconds == 2


async def test_a_rest_that_keeps_a_writer_waiting_is_a_shortage() -> None:
    """The limit is what makes it cool_down, so the limit was reached."""
    limiter = ConcurrencyLimiter(0.5)
    await limiter.enter()
    await asyncio.sleep(0.4)
    limiter.leave(0.4)
    await limiter.enter()
    assert limiter.usage().saturated_seconds == pytest.approx(0.4)


async def test_a_paused_gate_lets_nobody_in_whatever_the_limit() -> None:
    """Who is inside finishes; who waits is let in by the resume, and a shortage of the operator's making is none."""
    limiter = ConcurrencyLimiter(2)
    await limiter.enter()
    limiter.pause()
    assert not limiter.has_capacity
    waiting = asyncio.create_task(limiter.enter(), name="enter")
    limiter.leave(0.1)
    limiter.set_limit(8)
    await asyncio.sleep(60)
    assert (limiter.at_work, waiting.done()) == (0, False)
    limiter.resume()
    await settle()
    assert (limiter.at_work, waiting.done()) == (1, True)
    assert limiter.usage().saturated_seconds == 0


async def test_resuming_rings() -> None:
    """Who watches for room hears that there is some again."""
    limiter, notifications = ConcurrencyLimiter(1), 0

    def notify() -> None:
        nonlocal notifications
        notifications += 1

    limiter.watch(notify)
    limiter.pause()
    assert notifications == 0
    limiter.resume()
    assert notifications == 1


async def test_draining_ends_a_pause_for_good() -> None:
    """A line that runs dry is held up neither by a pause before nor by one after."""
    limiter = ConcurrencyLimiter(1)
    limiter.pause()
    limiter.drain()
    assert limiter.has_capacity
    limiter.pause()
    assert limiter.has_capacity


async def test_who_gives_up_waiting_leaves_no_shortage_behind() -> None:
    """The limiter is idle afterwards, and a governor must not take that for work that waits."""
    limiter = ConcurrencyLimiter(1)
    await limiter.enter()
    waiter = asyncio.create_task(limiter.enter(), name="waits")
    await asyncio.sleep(2)
    waiter.cancel()
    await asyncio.wait([waiter])
    limiter.leave(2.0, cool_down=False)
    short = limiter.usage().saturated_seconds
    await asyncio.sleep(100)
    assert (short, limiter.usage().saturated_seconds) == (2.0, 2.0)
