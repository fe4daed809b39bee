"""Backlog: what the queues say, asked seldom and by turns of chance, and no queue in the way of another."""

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
    pause_before_look,
)
from tests.control.loop import Stage, counts
from tests.fakes.queues import call_error
from tests.fakes.samples import OTHER_QUEUE, QUEUE


def test_counts_are_two_of_many_attributes() -> None:
    """As numbers, with the time of the answer."""
    assert counts_from(counts(12, 3), 1000) == QueueCounts(visible=12, in_flight=3, taken_at=1000)


@pytest.mark.parametrize(
    "attributes", [{}, {"ApproximateNumberOfMessages": "7"}, counts(1, 2) | dict.fromkeys(counts(0, 0), "?")]
)
def test_an_answer_without_counts_is_a_failed_look(attributes: dict[str, str]) -> None:
    """Missing or no numbers."""
    with pytest.raises(ValueError, match=r"says nothing of|invalid literal"):
        counts_from(attributes, 1000)


@given(chance=st.floats(0, 1))
def test_looks_are_a_period_apart_give_or_take_a_fifth(chance: float) -> None:
    """So that a fleet that was started together does not stay together."""
    assert abs(pause_before_look(chance) - PERIOD_SECONDS) <= PERIOD_SECONDS / 5 + 1e-9


async def test_each_queue_is_asked_four_times_a_minute() -> None:
    """Beginning within the first period."""
    stage = Stage()
    async with stage.running() as begun:
        await asyncio.sleep(600)
    for queue in (QUEUE, OTHER_QUEUE):
        times = [at for asked, at in stage.queues.asked if asked == queue]
        assert times[0] - begun <= PERIOD_SECONDS
        assert 33 <= len(times) <= 51
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert pause_before_look(0) <= min(pauses) < max(pauses) <= pause_before_look(1) + 1e-9


async def test_a_queue_that_does_not_answer_leaves_the_other_alone() -> None:
    """It becomes unknown, each look has an end, and the other is known all the time."""
    stage = Stage()
    stage.queues.answers = {QUEUE: None, OTHER_QUEUE: counts(30, 4)}
    async with stage.running():
        await asyncio.sleep(120)
        now = asyncio.get_running_loop().time()
        assert stage.backlog.counts(QUEUE, now) is None
        known = stage.backlog.counts(OTHER_QUEUE, now)
        assert known is not None
        assert (known.visible, known.in_flight) == (30, 4)
        assert math.isnan(stage.metric("queue_visible_messages", queue="events") or 0)
        assert stage.metric("queue_visible_messages", queue="archive") == 30
        assert stage.metric("queue_in_flight_messages", queue="archive") == 4
    times = [at for asked, at in stage.queues.asked if asked == QUEUE]
    assert len(times) >= 120 / (1.2 * PERIOD_SECONDS + CALL_AT_MOST_SECONDS) - 1


async def test_counts_outlive_a_failed_look_and_not_a_minute_of_them() -> None:
    """Then they are unknown, on the page and in the metric."""
    stage = Stage()
    stage.queues.answers[QUEUE] = counts(30, 4)
    async with stage.running():
        await asyncio.sleep(20)
        stage.queues.answers[QUEUE] = call_error()
        await asyncio.sleep(25)
        assert stage.reading().backlog_messages == 30
        await asyncio.sleep(STALE_AFTER_SECONDS)
        assert stage.reading().backlog_messages is None
        assert [queue.visible_messages for queue in stage.regulator.status().queues] == [None, 0]


async def test_a_long_silence_is_few_lines() -> None:
    """Each names the queue and says what went wrong."""
    stage = Stage()
    stage.queues.answers[QUEUE] = call_error()
    with structlog.testing.capture_logs() as lines:
        async with stage.running():
            await asyncio.sleep(1000)
    told = [(line["queue"], line["detail"], line["looks"]) for line in lines if line["event"] == "backlog.unknown"]
    assert told == [("events", "InternalError: scripted", looks) for looks in (1, 2, 4, 8, 16, 32, 64)]
