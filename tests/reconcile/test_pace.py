"""The pace of jobs: never above its share, behind live writes, and never quite standing still."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.reconcile.pace import (
    LEAST_PART,
    PATIENCE_SECONDS,
    Conditions,
    LivePace,
    PaceOptions,
    concurrency_of_job,
    share_of_limit,
)
from tests.fakes.virtual_time import VirtualTimeLoop

OPTIONS = PaceOptions(lag_target_seconds=10, lag_max_seconds=110)


@pytest.mark.parametrize(
    ("lag_seconds", "share"),
    [(0, 0.5), (10, 0.5), (60, 0.5 * 0.525), (110, 0.025), (1e9, 0.025), (float("inf"), 0.025), (float("nan"), 0.025)],
)
def test_the_share_shrinks_between_the_two_lags(lag_seconds: float, share: float) -> None:
    """Whole up to the target, a twentieth of it from the maximum on, a straight line in between."""
    assert share_of_limit(lag_seconds, 10, 110, 0.5) == pytest.approx(share)


def test_equal_lags_leave_no_line_between_them() -> None:
    """With a target as large as the maximum the share falls at once."""
    assert [share_of_limit(lag, 10, 10, 0.4) for lag in (10, 10.1)] == [0.4, pytest.approx(0.4 * LEAST_PART)]


@given(
    lags=st.lists(st.floats(0, 1e6), min_size=2),
    target=st.floats(0, 1e5),
    span=st.floats(0, 1e5),
    share=st.floats(0.01, 1),
)
def test_the_share_never_rises_with_the_lag(lags: list[float], target: float, span: float, share: float) -> None:
    """It stays between its least part and the whole share, and more lag never gives more."""
    shares = [share_of_limit(lag, target, target + span, share) for lag in sorted(lags)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(shares))
    assert all(share * LEAST_PART - 1e-12 <= each <= share for each in shares)


def test_a_pause_or_an_outage_stops_jobs() -> None:
    """Nothing is left of the share, however small the lag."""
    assert concurrency_of_job(OPTIONS, Conditions(8, 0.0, is_stopped=True)) == 0
    assert concurrency_of_job(OPTIONS, Conditions(8, 0.0)) == 4


@pytest.mark.usefixtures("untraced")
@settings(max_examples=30)
@given(limit=st.floats(0.2, 6), page_seconds=st.floats(0.005, 0.4), lag=st.floats(0, 60), is_live=st.booleans())
def test_a_job_uses_no_more_than_its_share_and_always_moves(
    limit: float, page_seconds: float, lag: float, is_live: bool
) -> None:
    """On average over many pages, with and without live writes that use all they get; it ends in any case."""
    share = concurrency_of_job(OPTIONS, Conditions(limit, lag))
    pages = 20

    async def scenario() -> tuple[float, float]:
        limiter = ConcurrencyLimiter(limit)
        pace = LivePace(OPTIONS, limiter, lambda: Conditions(limit, lag))
        clock = asyncio.get_running_loop().time
        begun, left = clock(), pages

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with pace.permit():
                    await asyncio.sleep(page_seconds)

        async def write() -> None:
            while True:
                await limiter.acquire()
                await asyncio.sleep(page_seconds)
                limiter.release(page_seconds)

        live = [asyncio.create_task(write(), name="write") for _ in range(8 if is_live else 0)]
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work(), name="work")
        elapsed = clock() - begun
        for each in live:
            each.cancel()
        await asyncio.gather(*live, return_exceptions=True)
        return pages * page_seconds, elapsed

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        worked, elapsed = runner.run(scenario())
    # The first pages begin without a cool-down before them, one for each permit.
    first = page_seconds * max(1, -(-share // 1))
    assert worked <= share * elapsed + first + 1e-6


async def test_a_write_that_waits_goes_first() -> None:
    """Where both wait for the only permit, the write takes it, whoever came first; then comes the page."""
    limiter = ConcurrencyLimiter(1)
    pace = LivePace(PaceOptions(10, 110, share=1.0), limiter, lambda: Conditions(1, 0.0))
    order: list[str] = []
    await limiter.acquire()

    async def page() -> None:
        async with pace.permit():
            order.append("page")

    async def write() -> None:
        await limiter.acquire()
        order.append("write")
        await asyncio.sleep(0.1)
        limiter.release(0.1)

    async with asyncio.TaskGroup() as group:
        group.create_task(page(), name="page")
        await asyncio.sleep(0.01)
        group.create_task(write(), name="write")
        await asyncio.sleep(0.01)
        limiter.release(0.02)
    assert order == ["write", "page"]
    assert limiter.at_work == 0


@pytest.mark.usefixtures("untraced")
def test_writes_without_a_break_lose_little_to_a_job() -> None:
    """Under full live load the job has a turn every PATIENCE_SECONDS at least, and writes have all the rest."""

    async def scenario() -> tuple[int, int]:
        limiter, done = ConcurrencyLimiter(1), {"page": 0, "write": 0}
        pace = LivePace(OPTIONS, limiter, lambda: Conditions(1, 0.0))

        async def write() -> None:
            while True:
                await limiter.acquire()
                await asyncio.sleep(0.01)
                done["write"] += 1
                limiter.release(0.01)

        async def pages() -> None:
            while True:
                async with pace.permit():
                    await asyncio.sleep(0.01)
                    done["page"] += 1

        tasks = [asyncio.create_task(each, name="load") for each in (write(), write(), pages())]
        await asyncio.sleep(100)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return done["page"], done["write"]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        pages, writes = runner.run(scenario())
    assert 100 / (PATIENCE_SECONDS + 0.1) <= pages <= 100 / PATIENCE_SECONDS
    assert writes >= 0.99 * 100 / 0.01 - pages


@pytest.mark.usefixtures("untraced")
def test_a_job_stands_still_in_a_pause_and_goes_on_after_it() -> None:
    """It asks again and again, and needs nobody to wake it."""

    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        paused_until = clock() + 3600
        limiter = ConcurrencyLimiter(1)
        pace = LivePace(OPTIONS, limiter, lambda: Conditions(1, 0.0, is_stopped=clock() < paused_until))
        async with pace.permit():
            return clock() - paused_until

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert 0 <= runner.run(scenario()) <= 1


async def test_a_cancelled_page_leaves_every_permit_free() -> None:
    """Wherever it waits: for its share, behind a write, for the permit that is kept for it, or at work."""
    limiter = ConcurrencyLimiter(1)
    pace = LivePace(PaceOptions(10, 110, share=1.0), limiter, lambda: Conditions(1, 0.0))
    for seconds in (0.0, 0.5, PATIENCE_SECONDS + 0.5):
        await limiter.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds), pace.permit():
                pytest.fail("there is no free permit")
        limiter.release(0.0)
        assert limiter.has_capacity
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), pace.permit():
            await asyncio.sleep(1)
    async with asyncio.timeout(0.5), pace.permit():
        assert limiter.at_work == 1
    assert limiter.at_work == 0
