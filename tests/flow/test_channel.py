"""Channel: bounded, ordered, ends after its last item, loses nothing to cancellation."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.channel import Channel, ChannelClosedError
from tests.fakes.virtual_time import VirtualTimeLoop, settle


async def test_items_are_received_in_the_order_they_were_sent() -> None:
    """FIFO, and the end follows the last item."""
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


async def test_sending_into_a_closed_channel_raises() -> None:
    """Before and while the sender waits; the item is not sent."""
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


async def test_receiving_from_an_ended_channel_raises() -> None:
    """A receiver that waits when the channel closes is woken."""
    channel: Channel[int] = Channel(1)
    receiving = asyncio.create_task(channel.receive(), name="receive")
    await settle()
    channel.close()
    with pytest.raises(ChannelClosedError):
        await receiving


async def test_receiving_without_waiting_wakes_a_sender() -> None:
    """`receive_nowait` returns the next item or None, and wakes the next sender."""
    channel: Channel[int] = Channel(1)
    assert channel.receive_nowait() is None
    await channel.send(1)
    sending = asyncio.create_task(channel.send(2), name="send")
    await settle()
    assert channel.receive_nowait() == 1
    await sending
    assert channel.receive_nowait() == 2


async def test_the_watcher_is_notified_of_items_and_of_the_end() -> None:
    """Once for every send and once for the close."""
    notifications: list[int] = []
    channel: Channel[int] = Channel(5)
    channel.watch(lambda: notifications.append(len(channel)))
    await channel.send(1)
    await channel.send(2)
    channel.close()
    assert notifications == [1, 2, 2]


def test_a_channel_holds_at_least_one_item() -> None:
    """A capacity below one raises."""
    with pytest.raises(ValueError, match="at least one"):
        Channel(0)


async def test_repr_shows_state_fill_and_senders() -> None:
    """For debugging."""
    channel: Channel[int] = Channel(2)
    await channel.send(1)
    assert repr(channel) == "<Channel open: 1/2 items, 0 senders waiting>"


@given(
    capacity=st.integers(1, 3),
    cancel_after=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    seed=st.integers(0, 10_000),
)
def test_cancelling_any_task_at_any_await_loses_nothing(capacity: int, cancel_after: list[int], seed: int) -> None:
    """Every item whose `send` returned is received exactly once."""

    async def scenario() -> None:
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
        runner.run(scenario())
