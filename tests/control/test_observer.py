"""The observer: every field of a reading is what happened since the one before, and nothing is remembered too long."""

from __future__ import annotations

import asyncio
import math

import pytest

from subscriber.control.reading import Reading
from tests.control.loop import EPOCH, FakeSensor, Stage, counts, load, wall_clock
from tests.fakes.queues import call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE


async def test_a_quiet_second_is_a_reading_of_nothing() -> None:
    """Whole: no rows, no use, no lag, and what the queues have said."""
    stage = Stage()
    async with stage.running() as begun:
        await asyncio.sleep(30)
        assert stage.reading() == Reading(
            taken_at=begun + 30,
            rows_per_second=0,
            statement_seconds=None,
            failures=0,
            concurrency_used=0,
            limit_reached=False,
            lag_seconds=0,
            backlog_messages=0,
            load=None,
            load_age_seconds=0,
        )


async def test_use_is_the_mean_of_places_at_work() -> None:
    """Not of permits, and a place counts for as long as it was at work within the second."""
    stage = Stage()
    async with stage.running():
        await stage.limiter.enter()
        await stage.limiter.enter()
        await asyncio.sleep(0.25)
        stage.limiter.leave(0.25)
        await asyncio.sleep(0.5)
        assert stage.reading().concurrency_used == pytest.approx(0.75)
        await asyncio.sleep(1)
        assert stage.reading().concurrency_used == pytest.approx(1)


async def test_the_limit_is_reached_when_a_due_write_had_to_wait() -> None:
    """As long as one waits, and in the second in which the last has waited."""
    stage = Stage()
    reached = []
    async with stage.running():
        stage.apply("limit", 1)
        await stage.limiter.enter()
        await asyncio.sleep(1)
        reached.append(stage.reading().limit_reached)
        waiting = asyncio.create_task(stage.limiter.enter(), name="enter")
        for _ in range(2):
            await asyncio.sleep(1)
            reached.append(stage.reading().limit_reached)
        stage.limiter.leave(3)
        await waiting
        for _ in range(2):
            await asyncio.sleep(1)
            reached.append(stage.reading().limit_reached)
    assert reached == [False, True, True, True, False]


async def test_waiting_for_the_database_is_no_evidence_for_growth() -> None:
    """In an outage places are taken by writes that wait: more of them would not help."""
    stage = Stage()
    async with stage.running():
        stage.limiter.mark_saturated()
        stage.is_away = True
        await asyncio.sleep(1)
        assert not stage.reading().limit_reached
        stage.is_away = False
        await asyncio.sleep(1)
        assert stage.reading().limit_reached


async def test_lag_is_of_the_last_second_and_of_what_is_inside() -> None:
    """The worst queue's youngest, for one reading; then what is held, for as long as it is held."""
    stage = Stage()
    lags = []
    async with stage.running():
        now = asyncio.get_running_loop().time()
        stage.arrivals[QUEUE].answered(10, 40.0, now)
        stage.arrivals[OTHER_QUEUE].answered(1, 0.1, now)
        await asyncio.sleep(1)
        lags.append((stage.reading().lag_seconds, stage.metric("newest_receive_age_seconds")))
        lease = await stage.leases.open(QUEUE)
        lease.oldest_sent_at = wall_clock() - 5
        for _ in range(2):
            await asyncio.sleep(1)
            lags.append((round(stage.reading().lag_seconds, 3), stage.metric("newest_receive_age_seconds")))
        stage.leases.abandon(lease)
        await asyncio.sleep(1)
        lags.append((stage.reading().lag_seconds, stage.metric("newest_receive_age_seconds")))
    assert lags == [(40, 40), (5.5, 0), (6.5, 0), (0, 0)]
    assert stage.metric("lag_seconds") == 0


async def test_the_backlog_is_the_sum_of_all_queues_or_unknown() -> None:
    """One queue that has never answered makes the sum a guess, so there is none."""
    stage = Stage()
    stage.queues.answers = {QUEUE: counts(700, 5), OTHER_QUEUE: call_error()}
    async with stage.running():
        await asyncio.sleep(30)
        assert stage.reading().backlog_messages is None
        stage.queues.answers[OTHER_QUEUE] = counts(30, 0)
        await asyncio.sleep(30)
        assert stage.reading().backlog_messages == 730


async def test_load_comes_with_its_age() -> None:
    """The newest there is, growing old where no newer comes."""
    said = load(55, taken_at=EPOCH + 990, window_seconds=60)
    stage = Stage(FakeSensor(lambda: said))
    async with stage.running() as begun:
        await asyncio.sleep(1)
        assert stage.reading().load == said
        assert stage.reading().load_age_seconds == pytest.approx(begun + 1 - 990)
        await asyncio.sleep(7)
        assert stage.reading().load_age_seconds == pytest.approx(begun + 8 - 990)
        assert stage.metric("database_cpu_percent") == 55
        assert stage.metric("database_load_age_seconds") == pytest.approx(begun + 8 - 990)


async def test_without_a_sensor_the_gauges_say_that_nothing_is_known() -> None:
    """Not zero, which would be an idle database."""
    stage = Stage()
    async with stage.running():
        await asyncio.sleep(2)
        for name in ("database_cpu_percent", "database_load_age_seconds"):
            assert math.isnan(stage.metric(name) or 0)
        assert stage.regulator.status().sensor.source == "none"
