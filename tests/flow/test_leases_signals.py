"""Leases: two may pause the intake, and the age of what is inside can be told."""

from __future__ import annotations

import asyncio
import math

from tests.fakes.samples import OTHER_QUEUE, QUEUE
from tests.fakes.virtual_time import settle
from tests.flow.test_leases import filled, leases_of


async def test_neither_pauser_resumes_what_the_other_has_paused() -> None:
    """An outage that ends does not end the operator's pause, nor the other way round."""
    book = leases_of()
    book.pause()
    book.pause("operator")
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    book.resume()
    await settle()
    assert not opening.done()
    book.pause()
    book.resume("operator")
    await settle()
    assert not opening.done()
    book.resume()
    await settle()
    assert opening.done()


async def test_the_oldest_first_receive_counts_until_its_poll_is_settled() -> None:
    """Then the next oldest; without any there is none."""
    book = leases_of()
    assert book.oldest_sent_at == math.inf
    polls = [await filled(book, 2) for _ in range(3)]
    for sent_at, messages in zip((500, 400, math.inf), polls, strict=True):
        messages[0].lease.oldest_sent_at = sent_at
    assert book.oldest_sent_at == 400
    book.settle(polls[1][:1])
    assert book.oldest_sent_at == 400
    book.settle(polls[1])
    assert book.oldest_sent_at == 500
    book.settle(polls[0])
    assert book.oldest_sent_at == math.inf


async def test_on_trial_a_queue_has_little_until_the_intake_is_resumed() -> None:
    """One poll at a time, the next when less than a poll of it is here; other queues have theirs."""
    book = leases_of(QUEUE, OTHER_QUEUE)
    book.pause()
    book.begin_probation()
    first = await filled(book, 2) + await filled(book, 8)
    there = await filled(book, 10, queue=OTHER_QUEUE)
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    book.settle(first[:1])
    second = await opening
    waiting = [asyncio.create_task(book.open(queue), name="open") for queue in (QUEUE, OTHER_QUEUE, QUEUE)]
    await settle()
    assert not any(one.done() for one in waiting)
    book.resume()
    await asyncio.gather(*waiting)
    book.abandon(second)
    book.settle(there)


async def test_a_trial_does_not_end_the_operators_pause() -> None:
    """Nor does its end."""
    book = leases_of()
    book.pause("operator")
    book.pause()
    book.begin_probation()
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    book.resume("operator")
    await opening
