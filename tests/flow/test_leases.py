"""Leases: limits that are never exceeded, capacity that is never lost, and the handles that a stop releases."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.leases import (
    InFlightLimits,
    LeasesClosedError,
    VisibilityLeases,
    has_capacity_for_poll,
)
from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES, Lease, Message
from tests.fakes.samples import OTHER_QUEUE, QUEUE, message
from tests.fakes.virtual_time import settle

ROOMY_BYTES = 1 << 30


def leases_of(*queues: str, messages: int = 100, byte_limit: int = ROOMY_BYTES) -> VisibilityLeases:
    """Leases under these limits, with five minutes of visibility."""
    return VisibilityLeases(
        queues or (QUEUE,), InFlightLimits(messages=messages, bytes=byte_limit), visibility_seconds=300
    )


async def filled(leases: VisibilityLeases, count: int, *, queue: str = QUEUE, body: str = "{}") -> list[Message]:
    """The messages of a poll that returned `count`."""
    lease = await leases.open(queue)
    messages = [message(queue, body=body, under=lease) for _ in range(count)]
    leases.fill(lease, messages)
    return messages


def outstanding(leases: VisibilityLeases) -> set[str]:
    """Every handle that a hard stop would release."""
    return {handle for _, handles in leases.outstanding() for handle in handles}


def kept_for(held: list[int]) -> int:
    """What counts for all queues together: what each holds, or one poll."""
    return sum(max(MESSAGES_PER_POLL, count) for count in held)


@given(held=st.lists(st.integers(0, 60), min_size=1, max_size=4), spare=st.integers(0, 40))
def test_every_queue_keeps_capacity_for_one_poll(held: list[int], spare: int) -> None:
    """After a poll of one queue, every queue that holds nothing can still poll."""
    limits = InFlightLimits(messages=sum(held) + spare, bytes=ROOMY_BYTES)
    if has_capacity_for_poll(held[0], kept_for(held), 0, limits):
        after = [held[0] + MESSAGES_PER_POLL, *held[1:]]
        assert all(has_capacity_for_poll(0, kept_for(after), 0, limits) for count in after if count == 0)


async def test_an_open_poll_reserves_capacity_for_a_full_answer() -> None:
    """Ten of the largest messages while it is open, of which none is held; then what was received; then nothing."""
    leases = leases_of()

    def figures() -> tuple[int, int, int, int]:
        return leases.messages_held, leases.bytes_held, leases.messages_reserved, leases.bytes_reserved

    lease = await leases.open(QUEUE)
    assert figures() == (0, 0, MESSAGES_PER_POLL, POLL_BYTES)
    messages = [message(body="x" * 100, under=lease) for _ in range(3)]
    leases.fill(lease, messages)
    assert figures() == (3, 300, 0, 0)
    assert lease.expires_at == asyncio.get_running_loop().time() + 300
    leases.settle(messages)
    assert figures() == (0, 0, 0, 0)


async def test_a_failed_poll_frees_its_reservation() -> None:
    """As if its lease had never been opened."""
    leases = leases_of(messages=10)
    leases.abandon(await leases.open(QUEUE))
    assert (leases.messages_reserved, leases.bytes_reserved, outstanding(leases)) == (0, 0, set())
    await leases.open(QUEUE)


async def test_settling_twice_is_settling_once() -> None:
    """A message may be both acknowledged and released; the sums count it once."""
    leases = leases_of()
    messages = await filled(leases, 5)
    leases.settle(messages[:3])
    leases.settle(messages[:4])
    assert (leases.messages_held, outstanding(leases)) == (1, {messages[4].receipt_handle})
    leases.settle(messages)
    leases.settle(messages)
    assert (leases.messages_held, leases.bytes_held, outstanding(leases)) == (0, 0, set())


async def test_outstanding_is_what_was_received_and_not_settled() -> None:
    """By queue, without the polls that are still open."""
    leases = leases_of(QUEUE, OTHER_QUEUE)
    here, there = await filled(leases, 2), await filled(leases, 1, queue=OTHER_QUEUE)
    await leases.open(QUEUE)
    leases.settle(here[:1])
    assert set(leases.outstanding()) == {
        (QUEUE, (here[1].receipt_handle,)),
        (OTHER_QUEUE, (there[0].receipt_handle,)),
    }


async def test_bytes_have_a_limit_of_their_own() -> None:
    """One byte too many makes the next poll wait, however few the messages, until they are settled."""
    leases = leases_of(byte_limit=POLL_BYTES + 99)
    messages = await filled(leases, 1, body="x" * 100)
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    leases.settle(messages)
    await opening


async def test_capacity_goes_to_the_queue_that_holds_less() -> None:
    """A flooded queue that polls again at once does not take the capacity another queue has waited for."""
    leases = leases_of(QUEUE, OTHER_QUEUE, byte_limit=POLL_BYTES + 10)
    lease = await leases.open(QUEUE)
    waiting = asyncio.create_task(leases.open(OTHER_QUEUE), name="open")
    await settle()

    async def open_again_at_once() -> Lease:
        leases.fill(lease, [message(under=lease)])
        return await leases.open(QUEUE)

    again = asyncio.create_task(open_again_at_once(), name="open again")
    await settle()
    assert (waiting.done(), again.done()) == (True, False)
    leases.abandon(waiting.result())
    await again


async def test_a_poll_goes_on_when_the_one_it_yielded_to_is_cancelled() -> None:
    """The capacity that was kept for the other queue is not lost."""
    leases = leases_of(QUEUE, OTHER_QUEUE, byte_limit=POLL_BYTES + 10)
    lease = await leases.open(QUEUE)
    opening = [asyncio.create_task(leases.open(queue), name=queue) for queue in (OTHER_QUEUE, QUEUE)]
    await settle()
    leases.fill(lease, [message(under=lease)])
    opening[0].cancel()
    await opening[1]


async def test_no_lease_is_given_during_a_pause() -> None:
    """After it, every poll that fits gets one at once."""
    leases = leases_of(messages=20)
    leases.pause()
    opening = [asyncio.create_task(leases.open(QUEUE), name="open") for _ in range(3)]
    await settle()
    assert not any(task.done() for task in opening)
    leases.resume()
    await settle()
    assert [task.done() for task in opening] == [True, True, False]
    leases.abandon(opening[0].result())
    await opening[2]


async def test_capacity_that_is_freed_during_a_pause_is_not_lost() -> None:
    """It counts when the pause ends."""
    leases = leases_of(messages=20)
    polls = [await leases.open(QUEUE), await leases.open(QUEUE)]
    opening = [asyncio.create_task(leases.open(QUEUE), name="open") for _ in range(2)]
    await settle()
    leases.pause()
    for lease in polls:
        leases.abandon(lease)
    await settle()
    assert not any(task.done() for task in opening)
    leases.resume()
    await asyncio.gather(*opening)


async def test_the_live_budget_is_bounded_by_one_poll_per_queue_and_the_limits() -> None:
    """A lower one makes polls wait, a higher one lets them go on, within both bounds."""
    leases = leases_of(QUEUE, OTHER_QUEUE, messages=60)

    async def opened(live_messages: int) -> int:
        leases.set_budget(live_messages)
        opening = [asyncio.create_task(leases.open(QUEUE), name="open") for _ in range(10)]
        await settle(40)
        done = [task for task in opening if task.done()]
        for task in opening:
            task.cancel()
        await asyncio.wait(opening)
        for task in done:
            leases.abandon(task.result())
        return len(done)

    assert [await opened(live) for live in (0, 40, 1_000_000)] == [1, 3, 5]


async def test_a_larger_live_budget_wakes_waiting_polls() -> None:
    """The regulator's change reaches polls that already wait."""
    leases = leases_of(messages=100)
    leases.set_budget(10)
    await leases.open(QUEUE)
    opening = asyncio.create_task(leases.open(QUEUE), name="open")
    await settle()
    assert not opening.done()
    leases.set_budget(20)
    await opening


@pytest.mark.parametrize("paused", [False, True])
async def test_closing_wakes_every_waiting_poll(paused: bool) -> None:
    """At once, in a pause too; held messages stay outstanding until they are settled."""
    leases = leases_of(messages=10)
    messages = await filled(leases, 1)
    if paused:
        leases.pause()
    opening = [asyncio.create_task(leases.open(QUEUE), name="open") for _ in range(3)]
    await settle()
    leases.close()
    for task in opening:
        with pytest.raises(LeasesClosedError):
            await task
    leases.settle(messages)
    with pytest.raises(LeasesClosedError):
        await leases.open(QUEUE)


async def test_a_lease_without_messages_is_forgotten() -> None:
    """Nothing is kept of a lease whose messages are all settled, so memory does not grow."""
    leases = leases_of()
    polls: list[Lease] = []
    for _ in range(20):
        messages = await filled(leases, 2)
        polls.append(messages[0].lease)
        leases.settle(messages)
    assert len({id(lease) for lease in polls}) == 20
    assert list(leases.outstanding()) == []
    assert leases._open == {}
