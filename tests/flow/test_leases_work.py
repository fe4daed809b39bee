"""Leases: the work per message does not grow with the number of queues."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from benchmarks.loadtest.lease_speed import POLLS, FullLeases
from subscriber.flow import leases, poll_order, wakeup

pytestmark = pytest.mark.usefixtures("untraced")

FILES = {leases.__file__, poll_order.__file__, wakeup.__file__}


class ExecutedLines:
    """How many lines of the leases ran: each turn of a loop, and of a generator, counts."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """A trace function of `sys.settrace`."""
        if frame.f_code.co_filename not in FILES:
            return None
        self.count += event == "line"
        return self.trace

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count inside this block only."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(before)


async def lines_per_answer(queues: int) -> float:
    """Lines that run while the ten messages of a poll are settled and ten others are received."""
    full = FullLeases(queues)
    await full.begin()
    lines, before = ExecutedLines(), full.answers
    with lines.counting():
        await full.settle(2 * POLLS)
    answers = full.answers - before
    await full.end()
    assert answers == 2 * POLLS
    return lines.count / answers


@pytest.mark.parametrize("queues", [10, 100])
async def test_the_work_per_message_is_the_same_for_any_number_of_queues(queues: int) -> None:
    """Counted, not timed: at most a fifth more than with one queue."""
    assert await lines_per_answer(queues) <= 1.2 * await lines_per_answer(1)


def test_outdated_entries_of_the_order_are_bounded() -> None:
    """A queue whose figures change all the time leaves few entries behind, even while another one stays first."""
    order = poll_order.PollOrder()
    order.put("first", 0, 0)
    for held in range(10_000):
        order.put("busy", held + 1, 0)
    assert (order.first(), len(order._heap) <= 20) == ("first", True)
    order.remove("first")
    assert order.first() == "busy"
    order.remove("busy")
    assert order.first() is None


def test_the_queue_that_holds_least_is_first() -> None:
    """Then the smallest reservation, then the queue whose figures have stayed the same for longest."""
    order = poll_order.PollOrder()
    order.put("a", 10, 5)
    order.put("b", 10, 5)
    assert order.first() == "a"
    order.put("b", 10, 4)
    assert order.first() == "b"
    order.put("a", 9, 5)
    assert order.first() == "a"
    order.put("a", 10, 4)
    assert order.first() == "b"
