"""Backlog: the counts of the queues, read seldom and with jitter, and no queue delays another."""

from __future__ import annotations

import asyncio
import itertools
import math

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.backlog import (
    CALL_AT_MOST_SECONDS,
    PERIOD_SECONDS,
    STALE_AFTER_SECONDS,
    QueueCounts,
    counts_from,
    pause_before_read,
)
from tests.control.loop import ControlLoop, counts
from tests.fakes.queues import call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE


def test_counts_are_two_of_many_attributes() -> None:
    """As numbers, with the time of the answer."""
    assert counts_from(counts(12, 3), 1000) == QueueCounts(visible=12, in_flight=3, taken_at=1000)


@pytest.mark.parametrize(
    "attributes", [{}, {"ApproximateNumberOfMessages": "7"}, counts(1, 2) | dict.fromkeys(counts(0, 0), "?")]
)
def test_an_answer_without_counts_is_a_failed_read(attributes: dict[str, str]) -> None:
    """They are missing or not numbers."""
    with pytest.raises(ValueError, match=r"the attributes lack|invalid literal"):
        counts_from(attributes, 1000)


@given(chance=st.floats(0, 1))
def test_reads_are_a_period_apart_plus_or_minus_a_fifth(chance: float) -> None:
    """So that workers that start together do not stay in step."""
    assert abs(pause_before_read(chance) - PERIOD_SECONDS) <= PERIOD_SECONDS / 5 + 1e-9


async def test_each_queue_is_read_four_times_a_minute() -> None:
    """Beginning within the first period."""
    control = ControlLoop()
    async with control.running() as begun:
        await asyncio.sleep(600)
    for queue in (QUEUE, OTHER_QUEUE):
        times = [at for asked, at in control.queues.asked if asked == queue]
        assert times[0] - begun <= PERIOD_SECONDS
        assert 33 <= len(times) <= 51
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert pause_before_read(0) <= min(pauses) < max(pauses) <= pause_before_read(1) + 1e-9


async def test_a_queue_that_does_not_answer_does_not_affect_the_other() -> None:
    """Its counts become unknown, each read has a time limit, and the other queue is known all the time."""
    control = ControlLoop()
    control.queues.answers = {QUEUE: None, OTHER_QUEUE: counts(30, 4)}
    async with control.running():
        await asyncio.sleep(120)
        now = asyncio.get_running_loop().time()
        assert control.backlog.counts(QUEUE, now) is None
        known = control.backlog.counts(OTHER_QUEUE, now)
        assert known is not None
        assert (known.visible, known.in_flight) == (30, 4)
        assert math.isnan(control.metric("queue_visible_messages", queue="events") or 0)
        assert control.metric("queue_visible_messages", queue="archive") == 30
        assert control.metric("queue_in_flight_messages", queue="archive") == 4
    times = [at for asked, at in control.queues.asked if asked == QUEUE]
    assert len(times) >= 120 / (1.2 * PERIOD_SECONDS + CALL_AT_MOST_SECONDS) - 1


async def test_counts_stay_after_a_failed_read_and_expire_after_a_minute() -> None:
    """Then they are unknown, in the reading and in the status."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = counts(30, 4)
    async with control.running():
        await asyncio.sleep(20)
        control.queues.answers[QUEUE] = call_error()
        await asyncio.sleep(25)
        assert control.reading().backlog_messages == 30
        await asyncio.sleep(STALE_AFTER_SECONDS)
        assert control.reading().backlog_messages is None
        assert [queue.visible_messages for queue in control.regulator.status().queues] == [None, 0]


async def test_many_failed_reads_are_few_log_lines() -> None:
    """Each names the queue and the problem."""
    control = ControlLoop()
    control.queues.answers[QUEUE] = call_error()
    with structlog.testing.capture_logs() as lines:
        async with control.running():
            await asyncio.sleep(1000)
    logged = [(line["queue"], line["detail"], line["attempts"]) for line in lines if line["event"] == "backlog.unknown"]
    assert logged == [("events", "InternalError: scripted", attempts) for attempts in (1, 2, 4, 8, 16, 32, 64)]
