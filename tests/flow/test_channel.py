"""The channel: bounded, ordered, ends with its last item, loses nothing to cancellation."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.channel import Channel, ChannelClosedError
from tests.fakes.virtual_time import VirtualTimeLoop, settle


async def test_items_come_out_in_the_order_they_went_in() -> None:
    """First in, first out, and the end comes after the last item."""
    channel: Channel[int] = Channel(3)
    for number in (1, 2, 3):
        await channel.send(number)
    channel.close()
    assert [number async for number in channel] == [1, 2, 3]
    assert channel.is_ended


async def test_a_full_channel_makes_the_sender_wait() -> None:
    """Back-pressure is a blocked await."""
    channel: Channel[int] = Channel(1)
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2), name="send")
    await settle()
    assert not sending.done()
    assert await channel.receive() == 1
    await sending
    assert await channel.receive() == 2


async def test_sending_into_a_closed_channel_is_refused() -> None:
    """Before and while waiting, the sender is told and the item is not taken."""
    channel: Channel[int] = Channel(1)
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2), name="send")
    await settle()
    channel.close()
    with pytest.raises(ChannelClosedError):
        await sending
    with pytest.raises(ChannelClosedError):
        await channel.send(3)
    assert [number async for number in channel] == [1]


async def test_receiving_from_an_ended_channel_says_so() -> None:
    """A receiver that waits when the channel closes is woken with the end."""
    channel: Channel[int] = Channel(1)
    receiving = asyncio.create_task(channel.receive(), name="receive")
    await settle()
    channel.close()
    with pytest.raises(ChannelClosedError):
        await receiving


async def test_looking_without_waiting_frees_a_sender() -> None:
    """`receive_nowait` gives the next item or None, and lets the next sender in."""
    channel: Channel[int] = Channel(1)
    assert channel.receive_nowait() is None
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2), name="send")
    await settle()
    assert channel.receive_nowait() == 1
    await sending
    assert channel.receive_nowait() == 2


async def test_the_watcher_hears_items_and_the_end() -> None:
    """Every send and the close notify once."""
    notifications: list[int] = []
    channel: Channel[int] = Channel(5)
    channel.watch(lambda: notifications.append(len(channel)))
    await channel.send(1)
    await channel.send(2)
    channel.close()
    assert notifications == [1, 2, 2]


def test_a_channel_without_room_for_one_item_is_refused() -> None:
    """Capacity is at least one."""
    with pytest.raises(ValueError, match="at least one"):
        Channel(0)


async def test_repr_shows_what_a_debugger_wants() -> None:
    """State, fill and who waits."""
    channel: Channel[int] = Channel(2)
    await channel.send(1)
    assert repr(channel) == "<Channel open: 1/2 items, 0 senders waiting>"


@given(
    capacity=st.integers(1, 3),
    cancel_after=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    seed=st.integers(0, 10_000),
)
def test_cancelling_anybody_anywhere_loses_nothing(capacity: int, cancel_after: list[int], seed: int) -> None:
    """What `send` returned for is received exactly once, in order, whoever was cancelled at whatever await."""

    async def scene() -> None:
        channel: Channel[int] = Channel(capacity)
        accepted: list[int] = []
        received: list[int] = []

        async def send(number: int) -> None:
            await channel.send(number)
            accepted.append(number)

        async def receive() -> None:
            received.append(await channel.receive())

        tasks: list[asyncio.Task[None]] = []
        for number, rounds in enumerate(cancel_after):
            work = send(number) if (seed >> number) % 3 else receive()
            task = asyncio.create_task(work, name=str(number))
            tasks.append(task)
            await settle(rounds % 4)
            if rounds > 6:
                tasks[rounds % len(tasks)].cancel()
        await settle()
        channel.close()
        received.extend([number async for number in channel])
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(received) == sorted(accepted)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())
