"""Alarms: they begin and end once, in the log, in the metric and on the page, each queue for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from subscriber.control.alarms import ADVICE
from tests.control.loop import Stage, counts
from tests.fakes.queues import call_error
from tests.fakes.samples import QUEUE


@asynccontextmanager
async def silence(stage: Stage) -> AsyncIterator[None]:
    """The first queue answers every poll with nothing while the block runs, once in five seconds."""

    async def poll() -> None:
        while True:
            stage.arrivals[QUEUE].answered(0, None, asyncio.get_running_loop().time())
            await asyncio.sleep(5)

    polling = asyncio.create_task(poll(), name="poll")
    try:
        yield
    finally:
        polling.cancel()
        await asyncio.wait([polling])


def gauges(stage: Stage) -> tuple[float | None, ...]:
    """Of the silent queue by reason, then the same of the other."""
    reasons = ("in_flight_limit", "unseen_backlog")
    return tuple(
        stage.metric("alarm", queue=queue, reason=reason) for queue in ("events", "archive") for reason in reasons
    )


async def test_an_alarm_begins_and_ends_once() -> None:
    """A line with its evidence and advice, the gauge, the page; and the like when a message comes."""
    stage = Stage()
    stage.queues.answers[QUEUE] = counts(50_000, 119_000)
    with structlog.testing.capture_logs() as lines:
        async with stage.running(), silence(stage):
            assert gauges(stage) == (0, 0, 0, 0)
            await asyncio.sleep(60)
            assert gauges(stage) == (1, 0, 0, 0)
            (alarm,) = stage.regulator.status().alarms
            assert (alarm.queue, alarm.reason, alarm.advice) == ("events", "in_flight_limit", ADVICE["in_flight_limit"])
            assert 40 < alarm.lasts_seconds < 60
            stage.arrivals[QUEUE].answered(10, 1.0, asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            assert (gauges(stage), stage.regulator.status().alarms) == ((0, 0, 0, 0), ())
    told = [line for line in lines if line["event"] in {"queue.stalled", "queue.recovered"}]
    assert [(line["event"], line["log_level"], line["queue"], line["reason"]) for line in told] == [
        ("queue.stalled", "error", "events", "in_flight_limit"),
        ("queue.recovered", "info", "events", "in_flight_limit"),
    ]
    assert (told[0]["visible"], told[0]["in_flight"], told[0]["advice"]) == (50_000, 119_000, ADVICE["in_flight_limit"])


async def test_an_unseen_backlog_is_an_alarm_after_a_while() -> None:
    """And the empty answers of a queue that is empty never are."""
    stage = Stage()
    async with stage.running(), silence(stage):
        await asyncio.sleep(600)
        assert gauges(stage) == (0, 0, 0, 0)
        stage.queues.answers[QUEUE] = counts(50_000, 0)
        await asyncio.sleep(30)
        assert gauges(stage) == (0, 1, 0, 0)


async def test_one_reason_gives_way_to_the_other() -> None:
    """The first ends as the second begins."""
    stage = Stage()
    stage.queues.answers[QUEUE] = counts(50_000, 119_000)
    async with stage.running(), silence(stage):
        await asyncio.sleep(120)
        assert gauges(stage) == (1, 0, 0, 0)
        stage.queues.answers[QUEUE] = counts(50_000, 3)
        await asyncio.sleep(30)
        assert gauges(stage) == (0, 1, 0, 0)


async def test_an_alarm_outlives_failed_looks() -> None:
    """Not knowing is no all-clear."""
    stage = Stage()
    stage.queues.answers[QUEUE] = counts(50_000, 119_000)
    async with stage.running(), silence(stage):
        await asyncio.sleep(60)
        stage.queues.answers[QUEUE] = call_error()
        await asyncio.sleep(300)
        assert gauges(stage) == (1, 0, 0, 0)


async def test_while_no_poll_is_made_nothing_is_said() -> None:
    """A pause ends an alarm, an outage begins none; afterwards the silence counts anew."""
    stage = Stage()
    stage.queues.answers[QUEUE] = counts(50_000, 0)
    async with stage.running():
        async with silence(stage):
            await asyncio.sleep(120)
            assert gauges(stage) == (0, 1, 0, 0)
        stage.apply("pause")
        await asyncio.sleep(120)
        assert gauges(stage) == (0, 0, 0, 0)
        stage.apply("resume")
        async with silence(stage):
            await asyncio.sleep(80)
            assert gauges(stage) == (0, 0, 0, 0)
            stage.is_away = True
            await asyncio.sleep(30)
            assert gauges(stage) == (0, 0, 0, 0)
