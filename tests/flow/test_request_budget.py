"""The budget of requests: how many at once, how many in a second, and what throttling does to it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.request_budget import REGAIN_SECONDS, SLOWEST_PART, RequestBudget, RequestLimits, RequestRate
from tests.fakes.virtual_time import VirtualTimeLoop, settle


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.1, 1000))
def test_no_second_starts_more_than_the_rate(gaps: list[float], per_second: float) -> None:
    """However the requests come, two starts are at least 1 / rate apart."""
    rate, now, starts = RequestRate(per_second), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        starts.append(now + rate.reserve(now))
    apart = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(seconds >= 1 / per_second - 1e-9 for seconds in apart)


def test_requests_that_were_throttled_together_halve_the_rate_once() -> None:
    """Eight requests at once get eight times 503."""
    rate = RequestRate(64.0)
    for _ in range(8):
        rate.slow_down(1000.0)
    assert rate.per_second(1000.0) == 32.0
    rate.slow_down(1001.0)
    assert rate.per_second(1001.0) == pytest.approx((32.0 + 64.0 / REGAIN_SECONDS) / 2)


def test_the_rate_has_a_floor_and_regains_its_maximum() -> None:
    """Throttled for long, it still asks now and then; left alone, it is as fast as before."""
    rate, now = RequestRate(64.0), 1000.0
    for _ in range(100):
        now += 1.0
        rate.slow_down(now)
    assert 64.0 * SLOWEST_PART <= rate.per_second(now) < 3.0
    assert rate.per_second(now + REGAIN_SECONDS) == 64.0


def test_at_most_so_many_run_and_each_is_counted() -> None:
    """The third waits for a free slot, a cancelled one gives its slot back, and time passes between starts."""

    async def scenario() -> None:
        budget = RequestBudget(RequestLimits(at_once=2, per_second=10.0))
        begun: list[float] = []
        end = asyncio.Event()

        async def one() -> None:
            async with budget.request("List"):
                begun.append(round(asyncio.get_running_loop().time(), 6))
                await end.wait()

        tasks = [asyncio.create_task(one(), name=f"request {number}") for number in range(4)]
        await asyncio.sleep(1.0)
        assert begun == [1000.0, 1000.1]
        tasks[0].cancel()
        await settle()
        assert begun == [1000.0, 1000.1, 1001.0]
        end.set()
        await asyncio.wait(tasks)
        assert begun == [1000.0, 1000.1, 1001.0, 1001.1]
        assert budget.started == {"List": 4}

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
