"""Leases: a ceiling that is never passed, room that is never lost, and a book that knows what would go back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.leases import (
    POLL_BYTES,
    POLL_MESSAGES,
    InFlightLimits,
    LeasesShutError,
    VisibilityLeases,
    has_room_for_poll,
)
from subscriber.model import Lease, Message
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message
from tests.fakes.virtual_time import settle

ROOMY_BYTES = 1 << 30


def leases_of(*queues: str, messages: int = 100, byte_limit: int = ROOMY_BYTES) -> VisibilityLeases:
    """A book under a ceiling, for five minutes of visibility."""
    return VisibilityLeases(
        queues or (QUEUE,), InFlightLimits(messages=messages, bytes=byte_limit), visibility_seconds=300
    )


async def filled(book: VisibilityLeases, count: int, *, queue: str = QUEUE, body: str = "{}") -> list[Message]:
    """A poll that brought `count` messages."""
    lease = await book.open(queue)
    messages = [message(queue, body=body, under=lease) for _ in range(count)]
    book.fill(lease, messages)
    return messages


def outstanding(book: VisibilityLeases) -> set[str]:
    """Every handle that a hard stop would hand back."""
    return {handle for _, handles in book.outstanding() for handle in handles}


@given(held=st.lists(st.integers(0, 60), min_size=1, max_size=4), spare=st.integers(0, 40))
def test_room_for_one_poll_of_every_queue_is_kept(held: list[int], spare: int) -> None:
    """If one queue may poll, then after it every other queue that holds less than a poll still may."""
    queues = {str(number): count for number, count in enumerate(held)}
    ceiling = InFlightLimits(messages=sum(held) + spare, bytes=ROOMY_BYTES)
    if has_room_for_poll("0", queues, 0, ceiling):
        after = queues | {"0": queues["0"] + POLL_MESSAGES}
        empty_handed = [queue for queue, count in after.items() if count == 0]
        assert all(has_room_for_poll(queue, after, 0, ceiling) for queue in empty_handed)


async def test_an_open_poll_holds_room_for_all_it_may_bring() -> None:
    """Ten of the largest messages while it is open, then what came, then nothing."""
    book = leases_of()
    lease = await book.open(QUEUE)
    assert (book.messages_held, book.bytes_held) == (POLL_MESSAGES, POLL_BYTES)
    messages = [message(body="x" * 100, under=lease) for _ in range(3)]
    book.fill(lease, messages)
    assert (book.messages_held, book.bytes_held) == (3, 300)
    assert lease.expires_at == asyncio.get_running_loop().time() + 300
    book.settle(messages)
    assert (book.messages_held, book.bytes_held) == (0, 0)


async def test_a_poll_that_failed_gives_all_its_room_back() -> None:
    """Abandoned is as if it had never been opened."""
    book = leases_of(messages=10)
    book.abandon(await book.open(QUEUE))
    assert (book.messages_held, book.bytes_held, outstanding(book)) == (0, 0, set())
    await book.open(QUEUE)


async def test_settling_twice_is_settling_once() -> None:
    """Receipt and hand-back may both come; the sums do not go below what is there."""
    book = leases_of()
    messages = await filled(book, 5)
    book.settle(messages[:3])
    book.settle(messages[:4])
    assert (book.messages_held, outstanding(book)) == (1, {messages[4].receipt_handle})
    book.settle(messages)
    book.settle(messages)
    assert (book.messages_held, book.bytes_held, outstanding(book)) == (0, 0, set())


async def test_outstanding_is_what_was_received_and_not_settled() -> None:
    """By queue, and without the polls that are still open."""
    book = leases_of(QUEUE, OTHER_QUEUE)
    here, there = await filled(book, 2), await filled(book, 1, queue=OTHER_QUEUE)
    await book.open(QUEUE)
    book.settle(here[:1])
    assert set(book.outstanding()) == {
        (QUEUE, (here[1].receipt_handle,)),
        (OTHER_QUEUE, (there[0].receipt_handle,)),
    }


async def test_bytes_are_a_ceiling_of_their_own() -> None:
    """One byte too many keeps the next poll waiting, however few the messages, until they are settled."""
    book = leases_of(byte_limit=POLL_BYTES + 99)
    messages = await filled(book, 1, body="x" * 100)
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    book.settle(messages)
    await opening


async def test_room_goes_to_the_queue_that_holds_less() -> None:
    """A flooded queue that asks again at once does not take what another has waited for."""
    book = leases_of(QUEUE, OTHER_QUEUE, byte_limit=POLL_BYTES + 10)
    lease = await book.open(QUEUE)
    waiting = asyncio.create_task(book.open(OTHER_QUEUE), name="open")
    await settle()

    async def ask_again_at_once() -> Lease:
        book.fill(lease, [message(under=lease)])
        return await book.open(QUEUE)

    again = asyncio.create_task(ask_again_at_once(), name="open again")
    await settle()
    assert (waiting.done(), again.done()) == (True, False)
    book.abandon(waiting.result())
    await again


async def test_who_gave_way_to_somebody_that_left_goes_on() -> None:
    """Room that was kept for another who is cancelled is not lost."""
    book = leases_of(QUEUE, OTHER_QUEUE, byte_limit=POLL_BYTES + 10)
    lease = await book.open(QUEUE)
    opening = [asyncio.create_task(book.open(queue), name=queue) for queue in (OTHER_QUEUE, QUEUE)]
    await settle()
    book.fill(lease, [message(under=lease)])
    opening[0].cancel()
    await opening[1]


async def test_a_pause_gives_no_lease_until_it_ends() -> None:
    """All who could be served are served at once after it."""
    book = leases_of(messages=20)
    book.pause()
    opening = [asyncio.create_task(book.open(QUEUE), name="open") for _ in range(3)]
    await settle()
    assert not any(task.done() for task in opening)
    book.resume()
    await settle()
    assert [task.done() for task in opening] == [True, True, False]
    book.abandon(opening[0].result())
    await opening[2]


async def test_room_that_appears_during_a_pause_is_not_forgotten() -> None:
    """What was settled, abandoned or allowed meanwhile counts when the pause ends."""
    book = leases_of(messages=20)
    leases = [await book.open(QUEUE), await book.open(QUEUE)]
    opening = [asyncio.create_task(book.open(QUEUE), name="open") for _ in range(2)]
    await settle()
    book.pause()
    for lease in leases:
        book.abandon(lease)
    await settle()
    assert not any(task.done() for task in opening)
    book.resume()
    await asyncio.gather(*opening)


async def test_the_live_budget_moves_between_a_poll_for_each_queue_and_the_ceiling() -> None:
    """A lower one makes polls wait, a higher one lets them go on; neither bound is passed."""
    book = leases_of(QUEUE, OTHER_QUEUE, messages=60)

    async def opened(live_messages: int) -> int:
        book.set_live_messages(live_messages)
        opening = [asyncio.create_task(book.open(QUEUE), name="open") for _ in range(10)]
        await settle(40)
        done = [task for task in opening if task.done()]
        for task in opening:
            task.cancel()
        await asyncio.wait(opening)
        for task in done:
            book.abandon(task.result())
        return len(done)

    assert [await opened(live) for live in (0, 40, 1_000_000)] == [1, 3, 5]


async def test_a_larger_live_budget_wakes_who_waits() -> None:
    """The regulator's word reaches polls that wait already."""
    book = leases_of(messages=100)
    book.set_live_messages(10)
    await book.open(QUEUE)
    opening = asyncio.create_task(book.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    book.set_live_messages(20)
    await opening


@pytest.mark.parametrize("paused", [False, True])
async def test_who_waits_when_the_book_shuts_is_told(paused: bool) -> None:
    """At once and for ever, in a pause too; what is held stays on the book."""
    book = leases_of(messages=10)
    messages = await filled(book, 1)
    if paused:
        book.pause()
    opening = [asyncio.create_task(book.open(QUEUE), name="open") for _ in range(3)]
    await settle()
    book.shut()
    for task in opening:
        with pytest.raises(LeasesShutError):
            await task
    book.settle(messages)
    with pytest.raises(LeasesShutError):
        await book.open(QUEUE)


async def test_a_lease_can_outlive_its_messages_and_the_book_forgets_it() -> None:
    """Nothing is kept of a lease whose messages are all settled: the book does not grow with the day."""
    book = leases_of()
    leases: list[Lease] = []
    for _ in range(20):
        messages = await filled(book, 2)
        leases.append(messages[0].lease)
        book.settle(messages)
    assert len({id(lease) for lease in leases}) == 20
    assert list(book.outstanding()) == []
    assert book._open == {}
