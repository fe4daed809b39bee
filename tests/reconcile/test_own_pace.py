"""The pace of a command beside the fleet: it grows while pages are quick, and shrinks while the queues fill."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import pytest

from subscriber.control.backlog import Backlog
from subscriber.control.governor.decide import GovernorOptions
from subscriber.control.load_monitor import LoadMonitor
from subscriber.errors import StoreError, Treatment
from subscriber.observe.metrics import Metrics
from subscriber.reconcile.own_pace import OwnPace, part_of_limit, with_share
from subscriber.reconcile.pace import PaceOptions
from subscriber.reconcile.queue_trend import QueueTrend, trend_after
from tests.fakes.virtual_time import VirtualTimeLoop

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/lake"
OPTIONS = PaceOptions(lag_target_seconds=10, lag_max_seconds=110)
GOVERNOR = GovernorOptions(limit_at_least=0.05, limit_at_most=8, slow_statement_seconds=10)


class Counts:
    """A queue that tells how many messages wait."""

    def __init__(self) -> None:
        self.visible: int | None = 0

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """As SQS answers."""
        if self.visible is None:
            return {}
        return {"ApproximateNumberOfMessages": str(self.visible), "ApproximateNumberOfMessagesNotVisible": "0"}


def trend(*counts: int | None) -> list[float | None]:
    """The lag after each of these counts, ten seconds apart."""
    state, lags = QueueTrend(0.0), []
    for number, count in enumerate(counts, start=1):
        state = trend_after(state, count, 10.0 * number)
        lags.append(state.lag_seconds)
    return lags


def test_a_count_that_does_not_grow_is_no_lag() -> None:
    """Few messages, or as many as at first, or fewer: the fleet keeps up."""
    assert trend(0, 100, 3) == [0, 0, 0]
    assert trend(5000, 6000, 900, 1800) == [0, 0, 0, 0]


def test_growth_is_lag_since_the_fleet_last_kept_up() -> None:
    """Until no more than twice the least count wait."""
    assert trend(10, 101, 500, 90) == [0, 10, 20, 0]


def test_more_than_a_worker_holds_is_lag_from_the_start() -> None:
    """Even where the count falls: those messages wait because nobody takes them."""
    assert trend(1_000_000, 900_000, 10_000) == [10, 20, 0]


def test_a_count_that_is_unknown_is_an_unknown_lag() -> None:
    """It says nothing, and what was known before counts again later."""
    assert trend(10, None, 500) == [0, None, 20]


def test_half_of_the_limit_is_used_while_the_lag_is_unknown() -> None:
    """Neither all of it, as if the fleet kept up, nor as little as if it were very late."""
    assert [part_of_limit(OPTIONS, lag) for lag in (0.0, None, 1e9)] == [1.0, 0.5, 0.05]


def test_the_limit_ends_at_the_share() -> None:
    """Of the greatest limit of a daemon, whatever the least one is."""
    shared = with_share(GovernorOptions(limit_at_least=1, limit_at_most=1.5, slow_statement_seconds=10), 0.5)
    assert (shared.limit_at_least, shared.limit_at_most) == (0.75, 0.75)


def paced(counts: Counts) -> OwnPace:
    """A pace without a load source."""
    metrics = Metrics(queues=(QUEUE,))
    return OwnPace(OPTIONS, GOVERNOR, Backlog((QUEUE,), counts, metrics), LoadMonitor("none", None, metrics))


@pytest.mark.usefixtures("untraced")
def test_the_limit_grows_while_pages_are_quick_and_shrinks_while_the_queue_fills() -> None:
    """Up to the share of the greatest limit, down to a twentieth of that, and up again."""

    async def scenario() -> list[float]:
        counts, limits = Counts(), []
        pace = paced(counts)

        async def pages() -> None:
            while True:
                async with pace.permit():
                    await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pages(), name="pages") for _ in range(8)]
            tasks.append(group.create_task(pace.run(), name="pace"))
            for visible, seconds in ((50, 300), (5000, 300), (50, 60), (None, 120)):
                counts.visible = visible
                await asyncio.sleep(seconds)
                limits.append(pace.limit)
            for task in tasks:
                task.cancel()
        return limits

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        on_time, late, again, unknown = runner.run(scenario())
    assert on_time == pytest.approx(4)
    assert late == pytest.approx(0.2)
    assert again == pytest.approx(4)
    assert unknown == pytest.approx(2)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("told_seconds", [None, 0.01])
def test_only_the_time_that_the_database_worked_counts(told_seconds: float | None) -> None:
    """Where it is told: an answer that lies unread while this process is busy is no work, and calls for no rest."""

    async def scenario() -> int:
        pace, done = paced(Counts()), 0
        clock = asyncio.get_running_loop().time
        ends_at = clock() + 100
        while clock() < ends_at:
            async with pace.permit() as use:
                await asyncio.sleep(0.05)
                use.seconds = told_seconds
            done += 1
        return done

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        done = runner.run(scenario())
    # At a limit of 0.05 a permit rests nineteen times as long as was worked.
    worked_seconds = told_seconds or 0.05
    assert done == pytest.approx(100 / (0.05 + 19 * worked_seconds), rel=0.05)


@pytest.mark.usefixtures("untraced")
def test_pages_that_fail_halve_the_limit() -> None:
    """As failed writes do in the daemon; the error goes to the caller."""

    async def scenario() -> tuple[float, float]:
        pace = paced(Counts())
        running = asyncio.create_task(pace.run(), name="pace")
        is_failing = asyncio.Event()

        async def page() -> None:
            async with pace.permit():
                await asyncio.sleep(0.05)
                if is_failing.is_set():
                    raise StoreError(Treatment.BACK_OFF, "timeout", None, "late")

        async def pages() -> None:
            while True:
                with contextlib.suppress(StoreError):
                    await page()

        working = [asyncio.create_task(pages(), name="pages") for _ in range(8)]
        await asyncio.sleep(120)
        before = pace.limit
        is_failing.set()
        await asyncio.sleep(1.5)
        after = pace.limit
        for task in (running, *working):
            task.cancel()
        await asyncio.gather(running, *working, return_exceptions=True)
        return before, after

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        before, after = runner.run(scenario())
    assert after == pytest.approx(before / 2)
