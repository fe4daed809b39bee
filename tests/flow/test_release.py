"""Release: messages become visible at once, and a failure is logged and affects no other call."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.release import release, release_all
from subscriber.queue_url import queue_name
from tests.fakes.queues import FailEntries, FakeQueues, call_error
from tests.fakes.samples import QUEUE
from tests.fakes.store import Fail, Hold

POLLS = 5


async def held_by(queues: FakeQueues) -> VisibilityLeases:
    """Leases that hold the messages of five full polls."""
    queues.send(QUEUE, ["{}"] * 10 * POLLS)
    leases = VisibilityLeases((QUEUE,), InFlightLimits(messages=1_000, bytes=10**9), 300)
    for _ in range(POLLS):
        lease = await leases.open(QUEUE)
        leases.fill(lease, await queues.receive(lease))
    return leases


def visible(queues: FakeQueues) -> int:
    """How many messages another consumer can receive now."""
    now = asyncio.get_running_loop().time()
    return sum(kept.visible_at <= now for kept in queues.left(QUEUE))


async def test_one_failed_call_does_not_affect_the_others() -> None:
    """Of five polls, the messages of four are visible again."""
    queues = FakeQueues()
    leases = await held_by(queues)
    queues.script("release", None, Fail(call_error("ServiceUnavailable")))
    await release_all(queues, leases.outstanding(), 5.0, queue_name)
    assert len(queues.releases) == POLLS
    assert visible(queues) == (POLLS - 1) * 10


async def test_a_call_that_does_not_answer_ends_with_the_stop_budget() -> None:
    """The other calls have taken effect by then."""
    queues = FakeQueues()
    leases = await held_by(queues)
    queues.script("release", Hold())
    begun = asyncio.get_running_loop().time()
    await release_all(queues, leases.outstanding(), 5.0, queue_name)
    assert asyncio.get_running_loop().time() == begun + 5
    assert visible(queues) == (POLLS - 1) * 10


async def test_nothing_outstanding_is_no_call(capsys: pytest.CaptureFixture[str]) -> None:
    """A stop in time releases nothing and logs nothing."""
    queues = FakeQueues()
    await release_all(queues, [], 5.0, queue_name)
    assert (queues.releases, capsys.readouterr().out) == ([], "")


async def test_failed_entries_are_logged_and_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The result is what the queue reports as done."""
    queues = FakeQueues()
    ((_, handles), *_) = (await held_by(queues)).outstanding()
    queues.script("release", FailEntries({0: "InternalError", 3: None}))
    assert await release(queues, QUEUE, handles, name="events") == 8
    assert capsys.readouterr().out.count("messages.not_released") == 1
