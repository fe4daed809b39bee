"""Alarms: each begins and ends once per queue, in the log, in the metric and on the control page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from subscriber.control.alarms import ADVICE
from tests.control.loop import ControlLoop, counts
from tests.fakes.queues import call_error
from tests.fakes.samples import QUEUE


@asynccontextmanager
async def silence(control: ControlLoop, *queues: str) -> AsyncIterator[None]:
    """While the block runs, these queues, or the first, answer a poll every five seconds, without messages."""

    async def poll() -> None:
        while True:
            for queue in queues or (QUEUE,):
                control.arrivals[queue].record_answer(0, None, asyncio.get_running_loop().time())
            await asyncio.sleep(5)

    polling = asyncio.create_task(poll(), name="poll")
    try:
        yield
    finally:
        polling.cancel()
        await asyncio.wait([polling])


def gauges(control: ControlLoop) -> tuple[float | None, ...]:
    """Of the silent queue by reason, then of the other queue."""
    reasons = ("in_flight_limit", "unseen_backlog")
    return tuple(
        control.metric("alarm", queue=queue, reason=reason) for queue in ("events", "archive") for reason in reasons
    )


async def test_an_alarm_begins_and_ends_once() -> None:
    """In the log with evidence and advice, in the gauge and the status; a message ends it in all three."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = counts(50_000, 119_000)
    with structlog.testing.capture_logs() as lines:
        async with control.running(), silence(control):
            assert gauges(control) == (0, 0, 0, 0)
            await asyncio.sleep(60)
            assert gauges(control) == (1, 0, 0, 0)
            (alarm,) = control.regulator.status().alarms
            assert (alarm.queue, alarm.reason, alarm.advice) == ("events", "in_flight_limit", ADVICE["in_flight_limit"])
            assert 40 < alarm.lasts_seconds < 60
            control.arrivals[QUEUE].record_answer(10, 1.0, asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            assert (gauges(control), control.regulator.status().alarms) == ((0, 0, 0, 0), ())
    logged = [line for line in lines if line["event"] in {"queue.stalled", "queue.recovered"}]
    assert [(line["event"], line["log_level"], line["queue"], line["reason"]) for line in logged] == [
        ("queue.stalled", "error", "events", "in_flight_limit"),
        ("queue.recovered", "info", "events", "in_flight_limit"),
    ]
    assert (logged[0]["visible"], logged[0]["in_flight"], logged[0]["advice"]) == (
        50_000,
        119_000,
        ADVICE["in_flight_limit"],
    )


async def test_an_unseen_backlog_is_an_alarm_after_a_while() -> None:
    """Empty answers of an empty queue never are."""
    control = ControlLoop()
    async with control.running(), silence(control):
        await asyncio.sleep(600)
        assert gauges(control) == (0, 0, 0, 0)
        control.queues.answers[QUEUE] = counts(50_000, 0)
        await asyncio.sleep(30)
        assert gauges(control) == (0, 1, 0, 0)


async def test_one_reason_replaces_the_other() -> None:
    """The first ends as the second begins."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = counts(50_000, 119_000)
    async with control.running(), silence(control):
        await asyncio.sleep(120)
        assert gauges(control) == (1, 0, 0, 0)
        control.queues.answers[QUEUE] = counts(50_000, 3)
        await asyncio.sleep(30)
        assert gauges(control) == (0, 1, 0, 0)


async def test_an_alarm_stays_while_counts_are_unknown() -> None:
    """Missing counts are no evidence that the stall has ended."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = counts(50_000, 119_000)
    async with control.running(), silence(control):
        await asyncio.sleep(60)
        control.queues.answers[QUEUE] = call_error()
        await asyncio.sleep(300)
        assert gauges(control) == (1, 0, 0, 0)


async def test_without_polls_there_is_no_alarm() -> None:
    """A pause ends an alarm, an outage begins none; afterwards the silence is measured anew."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = counts(50_000, 0)
    async with control.running():
        async with silence(control):
            await asyncio.sleep(120)
            assert gauges(control) == (0, 1, 0, 0)
        control.apply("pause")
        await asyncio.sleep(120)
        assert gauges(control) == (0, 0, 0, 0)
        control.apply("resume")
        async with silence(control):
            await asyncio.sleep(80)
            assert gauges(control) == (0, 0, 0, 0)
            control.is_database_unavailable = True
            await asyncio.sleep(30)
            assert gauges(control) == (0, 0, 0, 0)


async def test_queues_of_one_name_have_separate_alarms_and_counts() -> None:
    """The end of one region's alarm leaves that of the other region in force, in every place that names a queue."""
    names = ("eu-west-1/111111111111/s3-events", "us-east-1/111111111111/s3-events")
    urls = tuple(f"https://sqs.{name.split('/')[0]}.amazonaws.com/111111111111/s3-events" for name in names)
    control = ControlLoop(queues=urls)
    for url, waiting in zip(urls, (50_000, 60_000), strict=True):
        control.queues.answers[url] = counts(waiting, 119_000)
    with structlog.testing.capture_logs() as lines:
        async with control.running(), silence(control, *urls):
            await asyncio.sleep(60)
            control.arrivals[urls[1]].record_answer(10, 1.0, asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            alarms = [control.metric("alarm", queue=name, reason="in_flight_limit") for name in names]
            assert alarms == [1, 0]
            assert [control.metric("queue_visible_messages", queue=name) for name in names] == [50_000, 60_000]
            status = control.regulator.status()
            assert ([alarm.queue for alarm in status.alarms], [queue.name for queue in status.queues]) == (
                [names[0]],
                list(names),
            )
    assert [line["queue"] for line in lines if line["event"] == "queue.recovered"] == [names[1]]
