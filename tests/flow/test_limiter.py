"""The limiter: one real number, permits above one, a duty cycle below, nobody's permit lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.limiter import ConcurrencyLimiter, Permit, cool_down_after, permits_for
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@pytest.mark.parametrize(("limit", "permits"), [(0.05, 1), (1, 1), (1.2, 2), (2.0, 2), (7.5, 8), (8, 8)])
def test_places_are_the_next_whole_number(limit: float, permits: int) -> None:
    """At least one, and never less than the limit."""
    assert permits_for(limit) == permits


def test_a_place_rests_by_the_limit() -> None:
    """Below one it is a duty cycle, above it shares the fraction, at whole numbers there is no cool_down."""
    assert cool_down_after(0.1, 0.05) == pytest.approx(1.9)
    assert cool_down_after(0.1, 2.5) == pytest.approx(0.02)
    assert cool_down_after(0.1, 8) == 0


def test_a_long_write_counts_as_half_a_second() -> None:
    """One slow write must not silence the daemon for minutes."""
    assert cool_down_after(30, 0.5) == pytest.approx(0.5)


@pytest.mark.usefixtures("untraced")
@given(limit=st.floats(0.02, 12), work_seconds=st.floats(0.005, 0.4))
def test_on_average_as_many_are_at_work_as_the_limit_says(limit: float, work_seconds: float) -> None:
    """Under a flood the mean concurrency over time is the limit, whatever the limit."""

    async def scene() -> float:
        limiter = ConcurrencyLimiter(limit)
        clock = asyncio.get_running_loop().time
        begun, worked = clock(), 0.0

        async def write() -> None:
            nonlocal worked
            while clock() < begun + 400 * work_seconds / limit:
                await limiter.enter()
                await asyncio.sleep(work_seconds)
                worked += work_seconds
                limiter.leave(work_seconds)

        async with asyncio.TaskGroup() as group:
            for _ in range(permits_for(limit) + 1):
                group.create_task(write(), name="write")
        return worked / (clock() - begun)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(scene()) == pytest.approx(limit, rel=0.1)


async def test_growth_wakes_waiters_and_shrinking_lets_holders_finish() -> None:
    """A larger limit lets in who waits; a smaller one takes nobody's permit away."""
    limiter = ConcurrencyLimiter(1)
    await limiter.enter()
    waiting = [asyncio.create_task(limiter.enter(), name="enter") for _ in range(2)]
    await settle()
    assert not any(task.done() for task in waiting)
    limiter.set_limit(3)
    await settle()
    assert all(task.done() for task in waiting)
    limiter.set_limit(1)
    assert limiter.at_work == 3
    assert not limiter.has_capacity
    for _ in range(3):
        limiter.leave(0.1)
    assert limiter.has_capacity


async def test_a_rest_lasts_as_long_as_the_limit_in_force_asks() -> None:
    """What a new task's first write earned at a twentieth is not served under a limit of a half, nor the reverse."""
    limiter = ConcurrencyLimiter(0.05)
    clock = asyncio.get_running_loop().time
    await limiter.enter()
    begun = clock()
    limiter.leave(0.1)
    await asyncio.sleep(0.05)
    limiter.set_limit(0.5)
    await limiter.enter()
    assert clock() - begun == pytest.approx(0.1)
    limiter.leave(0.1)
    limiter.set_limit(0.1)
    await asyncio.sleep(0.85)
    assert not limiter.has_capacity
    await limiter.enter()
    assert clock() - begun == pytest.approx(1.0)
    limiter.leave(0.4)
    await asyncio.sleep(1.0)
    limiter.set_limit(4)
    await limiter.enter()
    assert clock() - begun == pytest.approx(2.0), "a cool_down that is over by the new limit ends at once"


async def test_draining_ends_rests_and_takes_no_more() -> None:
    """While the line runs dry no permit is idle for the limit's sake."""
    limiter = ConcurrencyLimiter(0.1)
    await limiter.enter()
    limiter.leave(0.4)
    assert not limiter.has_capacity
    limiter.drain()
    await limiter.enter()
    limiter.leave(0.4)
    await limiter.enter()
    assert limiter.at_work == 1


async def test_a_failed_write_is_not_followed_by_a_rest() -> None:
    """Its caller backs off in its own way."""
    limiter = ConcurrencyLimiter(0.1)
    await limiter.enter()
    limiter.leave(0.4, cool_down=False)
    assert limiter.has_capacity


async def test_the_watcher_hears_of_room() -> None:
    """Leaving, the end of a cool_down, and a new limit notify."""
    notifications: list[float] = []
    limiter = ConcurrencyLimiter(0.5)
    clock = asyncio.get_running_loop().time
    limiter.watch(lambda: notifications.append(clock()))
    begun = clock()
    await limiter.enter()
    limiter.leave(0.2)
    await asyncio.sleep(1)
    limiter.set_limit(2)
    assert notifications == [pytest.approx(begun + 0.2), pytest.approx(begun + 1)]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
async def test_nonsense_is_no_limit(limit: float) -> None:
    """A limit is a finite number above zero."""
    with pytest.raises(ValueError, match="finite number above zero"):
        ConcurrencyLimiter(1).set_limit(limit)


@given(plan=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=15))
def test_cancelling_anybody_anywhere_loses_no_place(plan: list[tuple[int, bool]]) -> None:
    """After all have left or were cancelled, the limiter has all its permits again."""

    async def scene() -> None:
        limiter = ConcurrencyLimiter(2)

        async def write() -> None:
            await limiter.enter()
            try:
                await asyncio.sleep(0.01)
            finally:
                limiter.leave(0.01)

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
            await limiter.enter()
            await limiter.enter()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


async def test_a_place_that_was_left_is_taken_again_though_the_gate_is_paused() -> None:
    """Who is inside finishes; but not before there is room, and nobody else comes in."""
    limiter = ConcurrencyLimiter(1)
    await limiter.enter()
    first = Permit(limiter)
    first.leave(cool_down=False)
    await limiter.enter()
    second = Permit(limiter)
    limiter.pause()
    again = asyncio.create_task(first.take_again(), name="again")
    newcomer = asyncio.create_task(limiter.enter(), name="newcomer")
    await settle()
    assert (again.done(), limiter.at_work) == (False, 1)
    second.leave(cool_down=False)
    await again
    first.leave(cool_down=False)
    first.leave(cool_down=False)  # what is not held is not given back
    await settle()
    assert (newcomer.done(), limiter.at_work) == (False, 0)
    newcomer.cancel()
