"""Leases: two independent pauses, the probation, and the age of held messages."""

from __future__ import annotations

import asyncio
import math

from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.virtual_time import settle
from tests.flow.test_leases import filled, leases_of


async def test_neither_pauser_resumes_what_the_other_has_paused() -> None:
    """The end of an outage does not end the operator's pause, nor the reverse."""
    leases = leases_of()
    leases.pause()
    leases.pause("operator")
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    leases.resume()
    await settle()
    assert not opening.done()
    leases.pause()
    leases.resume("operator")
    await settle()
    assert not opening.done()
    leases.resume()
    await settle()
    assert opening.done()


async def test_the_oldest_message_that_shows_lag_counts_until_its_poll_is_settled() -> None:
    """Then the next oldest counts; a queue without any is not named."""
    leases = leases_of(QUEUE, OTHER_QUEUE)
    assert leases.oldest_sent_at() == {}
    polls = [await filled(leases, 2) for _ in range(3)]
    there = await filled(leases, 1, queue=OTHER_QUEUE)
    for sent_at, messages in zip((500, 400, math.inf, 450), [*polls, there], strict=True):
        messages[0].lease.oldest_sent_at = sent_at
    assert leases.oldest_sent_at() == {QUEUE: 400, OTHER_QUEUE: 450}
    leases.settle(polls[1][:1])
    assert leases.oldest_sent_at() == {QUEUE: 400, OTHER_QUEUE: 450}
    leases.settle(polls[1] + there)
    assert leases.oldest_sent_at() == {QUEUE: 500}
    leases.settle(polls[0])
    assert leases.oldest_sent_at() == {}


async def test_polls_answered_before_a_moment_can_be_left_out() -> None:
    """Their messages have been overtaken."""
    leases = leases_of()
    first = await filled(leases, 1)
    first[0].lease.oldest_sent_at = 400
    await asyncio.sleep(5)
    second = await filled(leases, 1)
    second[0].lease.oldest_sent_at = 500
    assert leases.oldest_sent_at(first[0].lease.taken_at) == {QUEUE: 400}
    assert leases.oldest_sent_at(second[0].lease.taken_at) == {QUEUE: 500}


async def test_on_probation_a_queue_holds_few_messages_until_polling_resumes() -> None:
    """The next poll begins when a queue holds fewer messages than one poll returns; other queues do not count."""
    leases = leases_of(QUEUE, OTHER_QUEUE)
    leases.pause()
    leases.begin_probation()
    first = await filled(leases, 2) + await filled(leases, 8)
    there = await filled(leases, 10, queue=OTHER_QUEUE)
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    leases.settle(first[:1])
    second = await opening
    waiting = [asyncio.create_task(leases.open(queue), name="open") for queue in (QUEUE, OTHER_QUEUE, QUEUE)]
    await settle()
    assert not any(one.done() for one in waiting)
    leases.resume()
    await asyncio.gather(*waiting)
    leases.abandon(second)
    leases.settle(there)


async def test_a_probation_does_not_end_the_operators_pause() -> None:
    """Nor does the end of the probation."""
    leases = leases_of()
    leases.pause("operator")
    leases.pause()
    leases.begin_probation()
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    leases.resume("operator")
    await opening
