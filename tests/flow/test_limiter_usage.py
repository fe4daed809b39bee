"""Usage of the limiter: permit-seconds, saturated seconds, and pauses."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.signals import LimiterUsage
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@given(writes=st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 3)), max_size=12), permits=st.integers(1, 4))
def test_permit_seconds_are_the_sum_of_all_writes(writes: list[tuple[float, float]], permits: int) -> None:
    """For any writes, permit-seconds are the sum of the seconds that each held a permit."""

    async def scenario() -> None:
        limiter = ConcurrencyLimiter(permits)
        clock = asyncio.get_running_loop().time
        held = 0.0

        async def write(pause_seconds: float, work_seconds: float) -> None:
            nonlocal held
            await asyncio.sleep(pause_seconds)
            await limiter.acquire()
            acquired_at = clock()
            await asyncio.sleep(work_seconds)
            limiter.release(clock() - acquired_at)
            held += clock() - acquired_at

        async with asyncio.TaskGroup() as group:
            for one in writes:
                group.create_task(write(*one), name="write")
        assert limiter.usage().permit_seconds == pytest.approx(held)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_an_idle_limiter_has_no_usage() -> None:
    """For any time."""
    limiter = ConcurrencyLimiter(8)
    await asyncio.sleep(1000)
    assert limiter.usage() == LimiterUsage(permit_seconds=0, saturated_seconds=0)


async def test_waiting_for_a_permit_counts_as_saturation() -> None:
    """From the begin of the wait to the permit; permit-seconds go on meanwhile."""
    limiter = ConcurrencyLimiter(1)
    await limiter.acquire()
    await asyncio.sleep(1)
    waiting = asyncio.create_task(limiter.acquire(), name="acquire")
    await asyncio.sleep(2)
    assert limiter.usage() == LimiterUsage(permit_seconds=3, saturated_seconds=2)
    limiter.release(3)
    await waiting
    await asyncio.sleep(4)
    assert limiter.usage() == LimiterUsage(permit_seconds=7, saturated_seconds=2)


async def test_a_due_batch_outside_the_limiter_counts_as_saturation() -> None:
    """Marked once or often, it lasts until the next permit is taken."""
    limiter = ConcurrencyLimiter(1)
    await limiter.acquire()
    limiter.mark_saturated()
    await asyncio.sleep(1)
    limiter.mark_saturated()
    await asyncio.sleep(1)
    limiter.release(2)
    await limiter.acquire()
    await asyncio.sleep(5)
    assert limiter.usage().saturated_seconds == 2


async def test_waiting_for_a_cool_down_counts_as_saturation() -> None:
    """The limit causes the cool-down, so the limit was reached."""
    limiter = ConcurrencyLimiter(0.5)
    await limiter.acquire()
    await asyncio.sleep(0.4)
    limiter.release(0.4)
    await limiter.acquire()
    assert limiter.usage().saturated_seconds == pytest.approx(0.4)


async def test_a_paused_limiter_grants_no_permit() -> None:
    """Holders finish, waiters go on after the resume, and an operator's pause does not count as saturation."""
    limiter = ConcurrencyLimiter(2)
    await limiter.acquire()
    limiter.pause()
    assert not limiter.has_capacity
    waiting = asyncio.create_task(limiter.acquire(), name="acquire")
    limiter.release(0.1)
    limiter.set_limit(8)
    await asyncio.sleep(60)
    assert (limiter.at_work, waiting.done()) == (0, False)
    limiter.resume()
    await settle()
    assert (limiter.at_work, waiting.done()) == (1, True)
    assert limiter.usage().saturated_seconds == 0


async def test_resuming_notifies_the_watcher() -> None:
    """There is capacity again."""
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
    """A pause delays a draining pipeline neither before the drain nor after it."""
    limiter = ConcurrencyLimiter(1)
    limiter.pause()
    limiter.drain()
    assert limiter.has_capacity
    limiter.pause()
    assert limiter.has_capacity


async def test_a_cancelled_waiter_leaves_no_saturation_behind() -> None:
    """The limiter is idle afterwards, and the governor must not see waiting work."""
    limiter = ConcurrencyLimiter(1)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire(), name="waits")
    await asyncio.sleep(2)
    waiter.cancel()
    await asyncio.wait([waiter])
    limiter.release(2.0, cool_down=False)
    saturated = limiter.usage().saturated_seconds
    await asyncio.sleep(100)
    assert (saturated, limiter.usage().saturated_seconds) == (2.0, 2.0)
