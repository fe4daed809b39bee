"""The observer: every field of a reading covers the time since the reading before, and nothing older."""

from __future__ import annotations

import asyncio
import math

import pytest

from subscriber.control.reading import Reading
from tests.control.loop import EPOCH, ControlLoop, FakeSensor, counts, load
from tests.fakes.queues import call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE


async def test_a_quiet_second_is_a_reading_of_nothing() -> None:
    """No rows, no use, no lag, and the counts of the queues."""
    control = ControlLoop()
    async with control.running() as begun:
        await asyncio.sleep(30)
        assert control.reading() == Reading(
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


async def test_use_is_the_mean_number_of_permits_in_use() -> None:
    """Not the limit; a permit counts for as long as it was in use within the second."""
    control = ControlLoop()
    async with control.running():
        await control.limiter.acquire()
        await control.limiter.acquire()
        await asyncio.sleep(0.25)
        control.limiter.release(0.25)
        await asyncio.sleep(0.5)
        assert control.reading().concurrency_used == pytest.approx(0.75)
        await asyncio.sleep(1)
        assert control.reading().concurrency_used == pytest.approx(1)


async def test_the_limit_is_reached_when_a_due_write_had_to_wait() -> None:
    """As long as one waits, and in the last second in which one waited."""
    control = ControlLoop()
    reached = []
    async with control.running():
        control.apply("limit", 1)
        await control.limiter.acquire()
        await asyncio.sleep(1)
        reached.append(control.reading().limit_reached)
        waiting = asyncio.create_task(control.limiter.acquire(), name="enter")
        for _ in range(2):
            await asyncio.sleep(1)
            reached.append(control.reading().limit_reached)
        control.limiter.release(3)
        await waiting
        for _ in range(2):
            await asyncio.sleep(1)
            reached.append(control.reading().limit_reached)
    assert reached == [False, True, True, True, False]


async def test_waiting_for_the_database_is_no_evidence_for_growth() -> None:
    """During an outage writes that wait hold the permits: more permits would not help."""
    control = ControlLoop()
    async with control.running():
        control.limiter.mark_saturated()
        control.is_database_unavailable = True
        await asyncio.sleep(1)
        assert not control.reading().limit_reached
        control.is_database_unavailable = False
        await asyncio.sleep(1)
        assert control.reading().limit_reached


async def test_lag_covers_the_last_second_and_the_messages_inside() -> None:
    """The youngest receive of the worst queue, for one reading; the oldest held message, as long as it is held."""
    control = ControlLoop()
    lags = []
    async with control.running():
        now = asyncio.get_running_loop().time()
        control.arrivals[QUEUE].record_answer(10, 40.0, now)
        control.arrivals[OTHER_QUEUE].record_answer(1, 0.1, now)
        await asyncio.sleep(1)
        lags.append((control.reading().lag_seconds, control.metric("newest_receive_age_seconds")))
        lease = await control.leases.open(QUEUE)
        lease.oldest_sent_at = asyncio.get_running_loop().time() - 5
        for _ in range(2):
            await asyncio.sleep(1)
            lags.append((round(control.reading().lag_seconds, 3), control.metric("newest_receive_age_seconds")))
        control.leases.abandon(lease)
        await asyncio.sleep(1)
        lags.append((control.reading().lag_seconds, control.metric("newest_receive_age_seconds")))
    assert lags == [(40, 40), (5.5, 0), (6.5, 0), (0, 0)]
    assert control.metric("lag_seconds") == 0


async def test_a_message_that_others_have_overtaken_makes_nothing_late() -> None:
    """One that arrived more than ten seconds before a message that is stored; a fresh one that is held still counts."""
    control = ControlLoop()
    lags = []
    async with control.running() as begun:
        for taken_at, sent_seconds_ago in ((begun - 100, 120), (begun, 3)):
            lease = await control.leases.open(QUEUE)
            lease.taken_at, lease.oldest_sent_at = taken_at, begun + 0.5 - sent_seconds_ago
        for stored in (begun - 100, begun - 90.5, begun - 89):
            control.tally.newest_received_at = stored
            await asyncio.sleep(1)
            lags.append(control.reading().lag_seconds)
    assert lags == [120.5, 121.5, 5.5]


async def test_a_pause_does_not_hide_what_waits() -> None:
    """The queue counts five messages and nothing is asked of it: the lag grows from the last empty answer on."""
    control = ControlLoop()
    arrivals = control.arrivals[QUEUE]
    async with control.running() as begun:
        arrivals.end_poll(has_failed=False)
        arrivals.record_answer(0, None, begun)
        control.apply("pause")
        await asyncio.sleep(20)
        idle = control.metric("lag_seconds")
        control.queues.answers[QUEUE] = counts(5, 0)
        await asyncio.sleep(40)
        waiting = control.metric("lag_seconds")
        await asyncio.sleep(100)
        later = control.metric("lag_seconds")
    assert idle == 0
    assert waiting is not None
    assert 40 - 18 <= waiting <= 60
    assert later == waiting + 100


async def test_the_backlog_is_the_sum_of_all_queues_or_unknown() -> None:
    """While the counts of one queue are missing there is no sum."""
    control = ControlLoop()
    control.queues.answers = {QUEUE: counts(700, 5), OTHER_QUEUE: call_error()}
    async with control.running():
        await asyncio.sleep(30)
        assert control.reading().backlog_messages is None
        control.queues.answers[OTHER_QUEUE] = counts(30, 0)
        await asyncio.sleep(30)
        assert control.reading().backlog_messages == 730


async def test_load_comes_with_its_age() -> None:
    """The newest reading, which grows old until a newer one comes."""
    newest = load(55, taken_at=EPOCH + 990, window_seconds=60)
    control = ControlLoop(FakeSensor(lambda: newest))
    async with control.running() as begun:
        await asyncio.sleep(1)
        assert control.reading().load == newest
        assert control.reading().load_age_seconds == pytest.approx(begun + 1 - 990)
        await asyncio.sleep(7)
        assert control.reading().load_age_seconds == pytest.approx(begun + 8 - 990)
        assert control.metric("database_cpu_percent") == 55
        assert control.metric("database_load_age_seconds") == pytest.approx(begun + 8 - 990)


async def test_without_a_sensor_the_gauges_are_nan() -> None:
    """Not zero, which would mean an idle database."""
    control = ControlLoop()
    async with control.running():
        await asyncio.sleep(2)
        for name in ("database_cpu_percent", "database_load_age_seconds"):
            assert math.isnan(control.metric(name) or 0)
        assert control.regulator.status().sensor.source == "none"
