"""Concurrency limiter: permits above one, a duty cycle below, and no permit is ever lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.limiter import ConcurrencyLimiter, Permit, cool_down_after, permits_for
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@pytest.mark.parametrize(("limit", "permits"), [(0.05, 1), (1, 1), (1.2, 2), (2.0, 2), (7.5, 8), (8, 8)])
def test_permits_are_the_next_whole_number(limit: float, permits: int) -> None:
    """At least one, and never fewer than the limit."""
    assert permits_for(limit) == permits


def test_the_cool_down_follows_the_limit() -> None:
    """Below one it makes a duty cycle, above one it adds the fraction, at whole numbers there is none."""
    assert cool_down_after(0.1, 0.05) == pytest.approx(1.9)
    assert cool_down_after(0.1, 2.5) == pytest.approx(0.02)
    assert cool_down_after(0.1, 8) == 0


def test_a_long_write_counts_as_half_a_second() -> None:
    """One slow write must not stop the writes for minutes."""
    assert cool_down_after(30, 0.5) == pytest.approx(0.5)


@pytest.mark.usefixtures("untraced")
@given(limit=st.floats(0.02, 12), work_seconds=st.floats(0.005, 0.4))
def test_the_mean_concurrency_is_the_limit(limit: float, work_seconds: float) -> None:
    """Under constant load, for any limit."""

    async def scenario() -> float:
        limiter = ConcurrencyLimiter(limit)
        clock = asyncio.get_running_loop().time
        begun, worked = clock(), 0.0

        async def write() -> None:
            nonlocal worked
            while clock() < begun + 400 * work_seconds / limit:
                await limiter.acquire()
                await asyncio.sleep(work_seconds)
                worked += work_seconds
                limiter.release(work_seconds)

        async with asyncio.TaskGroup() as group:
            for _ in range(permits_for(limit) + 1):
                group.create_task(write(), name="write")
        return worked / (clock() - begun)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(scenario()) == pytest.approx(limit, rel=0.1)


async def test_raising_the_limit_wakes_waiters_and_lowering_it_lets_holders_finish() -> None:
    """A larger limit grants permits to waiters; a smaller one revokes none."""
    limiter = ConcurrencyLimiter(1)
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire(), name="acquire") for _ in range(2)]
    await settle()
    assert not any(task.done() for task in waiting)
    limiter.set_limit(3)
    await settle()
    assert all(task.done() for task in waiting)
    limiter.set_limit(1)
    assert limiter.at_work == 3
    assert not limiter.has_capacity
    for _ in range(3):
        limiter.release(0.1)
    assert limiter.has_capacity


async def test_a_cool_down_follows_the_current_limit() -> None:
    """It becomes shorter when the limit rises and longer when the limit falls."""
    limiter = ConcurrencyLimiter(0.05)
    clock = asyncio.get_running_loop().time
    await limiter.acquire()
    begun = clock()
    limiter.release(0.1)
    await asyncio.sleep(0.05)
    limiter.set_limit(0.5)
    await limiter.acquire()
    assert clock() - begun == pytest.approx(0.1)
    limiter.release(0.1)
    limiter.set_limit(0.1)
    await asyncio.sleep(0.85)
    assert not limiter.has_capacity
    await limiter.acquire()
    assert clock() - begun == pytest.approx(1.0)
    limiter.release(0.4)
    await asyncio.sleep(1.0)
    limiter.set_limit(4)
    await limiter.acquire()
    assert clock() - begun == pytest.approx(2.0), "a cool-down that is over under the new limit ends at once"


async def test_draining_ends_cool_downs_and_begins_no_more() -> None:
    """While the pipeline drains, no permit cools down."""
    limiter = ConcurrencyLimiter(0.1)
    await limiter.acquire()
    limiter.release(0.4)
    assert not limiter.has_capacity
    limiter.drain()
    await limiter.acquire()
    limiter.release(0.4)
    await limiter.acquire()
    assert limiter.at_work == 1


async def test_a_failed_write_has_no_cool_down() -> None:
    """Its caller backs off itself."""
    limiter = ConcurrencyLimiter(0.1)
    await limiter.acquire()
    limiter.release(0.4, cool_down=False)
    assert limiter.has_capacity


async def test_the_watcher_is_notified_of_capacity() -> None:
    """By a release, the end of a cool-down, and a new limit."""
    notifications: list[float] = []
    limiter = ConcurrencyLimiter(0.5)
    clock = asyncio.get_running_loop().time
    limiter.watch(lambda: notifications.append(clock()))
    begun = clock()
    await limiter.acquire()
    limiter.release(0.2)
    await asyncio.sleep(1)
    limiter.set_limit(2)
    assert notifications == [pytest.approx(begun + 0.2), pytest.approx(begun + 1)]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
async def test_an_invalid_limit_raises(limit: float) -> None:
    """A limit is a finite number above zero."""
    with pytest.raises(ValueError, match="finite number above zero"):
        ConcurrencyLimiter(1).set_limit(limit)


@given(plan=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=15))
def test_cancelling_any_task_at_any_await_loses_no_permit(plan: list[tuple[int, bool]]) -> None:
    """After every task has ended or was cancelled, all permits are available again."""

    async def scenario() -> None:
        limiter = ConcurrencyLimiter(2)

        async def write() -> None:
            await limiter.acquire()
            try:
                await asyncio.sleep(0.01)
            finally:
                limiter.release(0.01)

        tasks = []
        for rounds, cancel in plan:
            tasks.append(asyncio.create_task(write(), name="write"))
            await settle(rounds)
            if cancel:
                tasks[rounds % len(tasks)].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.at_work == 0
        assert repr(limiter) == "<ConcurrencyLimiter limit 2: 0 at work, 0 cooling down, 0 waiting>"
        async with asyncio.timeout(1):
            await limiter.acquire()
            await limiter.acquire()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_a_released_permit_is_reacquired_though_the_limiter_is_paused() -> None:
    """An unfinished write goes on as soon as there is capacity; a new write does not start."""
    limiter = ConcurrencyLimiter(1)
    await limiter.acquire()
    first = Permit(limiter)
    first.release(cool_down=False)
    await limiter.acquire()
    second = Permit(limiter)
    limiter.pause()
    again = asyncio.create_task(first.reacquire(), name="again")
    newcomer = asyncio.create_task(limiter.acquire(), name="newcomer")
    await settle()
    assert (again.done(), limiter.at_work) == (False, 1)
    second.release(cool_down=False)
    await again
    first.release(cool_down=False)
    first.release(cool_down=False)  # a permit that is not held is not released
    await settle()
    assert (newcomer.done(), limiter.at_work) == (False, 0)
    newcomer.cancel()


async def test_a_permit_kept_in_a_pause_does_not_hold_up_an_unfinished_write() -> None:
    """In a pause nobody takes what is kept for patient work; after it that work comes first."""
    limiter = ConcurrencyLimiter(1)
    limiter.pause()
    patient = asyncio.create_task(limiter.acquire_behind(0.0), name="patient")
    await settle()
    await asyncio.sleep(0.01)
    await limiter.acquire(again=True)
    limiter.release(0.0)
    limiter.resume()
    assert not limiter.has_capacity
    await patient
    limiter.release(0.0)
    assert limiter.has_capacity
