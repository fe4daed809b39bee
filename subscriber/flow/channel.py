"""A bounded, ordered channel between two stages that can be closed.

Any number of tasks send, one receives. A full channel makes the sender wait, which is the back-pressure. Items that
were sent before `close` are received before the end; a cancelled `send` has sent nothing, a cancelled `receive` has
received nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from subscriber.flow.wakeup import Waiters

T = TypeVar("T")


class ChannelClosedError(Exception):
    """The channel is closed: nothing can be sent, or nothing is left to receive."""


class Channel(Generic[T]):
    """`send`, `receive` or `async for`, `close`; see the module.

    Args:
        capacity: how many items it holds before a sender waits; at least one.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a channel holds at least one item")
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._senders = Waiters()
        self._receivers = Waiters()
        self._notify: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Channel {state}: {len(self._items)}/{self._capacity} items, {len(self._senders)} senders waiting>"

    @property
    def is_ended(self) -> bool:
        """Whether it is closed and every item has been received."""
        return self._closed and not self._items

    def watch(self, notify: Callable[[], None]) -> None:
        """Call `notify` after every send and after `close`, for a receiver that waits for several sources."""
        self._notify = notify

    async def send(self, item: T) -> None:
        """Send `item`, waiting while the channel is full.

        Raises:
            ChannelClosedError: the channel was closed before or while waiting; the item was not sent.
        """
        while len(self._items) >= self._capacity and not self._closed:
            await self._senders.wait()
        if self._closed:
            raise ChannelClosedError("sent into a closed channel")
        self._items.append(item)
        self._wake_receiver()

    def receive_nowait(self) -> T | None:
        """The next item if there is one; None: no item now (`is_ended`: nor later)."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._senders.wake_one()
        return item

    async def receive(self) -> T:
        """The next item, waiting for it.

        Raises:
            ChannelClosedError: the channel has ended.
        """
        while not self._items:
            if self._closed:
                raise ChannelClosedError("the channel has ended")
            await self._receivers.wait()
        item = self._items.popleft()
        self._senders.wake_one()
        return item

    def close(self) -> None:
        """End the channel: nothing more is sent. Closing twice is closing once."""
        self._closed = True
        self._senders.wake_all()
        self._receivers.wake_all()
        self._wake_receiver()

    def _wake_receiver(self) -> None:
        self._receivers.wake_one()
        if self._notify is not None:
            self._notify()

    async def __aiter__(self) -> AsyncIterator[T]:
        """All items until the end."""
        while True:
            try:
                item = await self.receive()
            except ChannelClosedError:
                return
            yield item
