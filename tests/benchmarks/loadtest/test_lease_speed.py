"""The benchmark of the leases: it keeps every poll at work, whatever the number of queues."""

from __future__ import annotations

import pytest

from benchmarks.loadtest.lease_speed import HELD_MESSAGES, QUEUES, FullLeases, cpu_microseconds
from subscriber.model import MESSAGES_PER_POLL


@pytest.mark.parametrize("queues", QUEUES)
async def test_each_settled_poll_is_followed_by_another(queues: int) -> None:
    """The leases are full at the beginning and at the end."""
    full = FullLeases(queues)
    await full.begin()
    before = full.answers
    assert (full.leases.messages_held, before) == (HELD_MESSAGES, HELD_MESSAGES // MESSAGES_PER_POLL)
    await full.settle(50)
    assert (full.leases.messages_held, full.answers - before) == (HELD_MESSAGES, 50)
    await full.end()


async def test_the_cost_of_a_message_is_positive() -> None:
    """The measurement itself runs."""
    assert await cpu_microseconds(2, 20) > 0
