"""A bounded, ordered passage between two rooms, whose last item is its end.

Many may send, one receives. A full channel makes the sender wait: that is all the back-pressure there is.
What is sent before `close` is received before the end is seen; a cancelled `send` has sent nothing, a
cancelled `receive` has taken nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from subscriber.flow.wakeup import Waiters

T = TypeVar("T")


class ChannelClosedError(Exception):
    """Nothing can be sent any more, or nothing is left to receive."""


class Channel(Generic[T]):
    """See the module: `send`, `receive` or `async for`, `close`.

    Args:
        capacity: how many items may lie in it before a sender waits; at least one.
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
        """True once it is closed and everything in it has been received."""
        return self._closed and not self._items

    def watch(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever something was sent, or the channel was closed: for a receiver of several sources."""
        self._notify = notify

    async def send(self, item: T) -> None:
        """Put `item` in, waiting while the channel is full.

        Raises:
            ChannelClosedError: the channel was closed, before or while waiting; the item was not taken.
        """
        while len(self._items) >= self._capacity and not self._closed:
            await self._senders.wait()
        if self._closed:
            raise ChannelClosedError("sent into a closed channel")
        self._items.append(item)
        self._announce()

    def receive_nowait(self) -> T | None:
        """Take the next item if one is there; None says: nothing now (see `is_ended` for: nothing ever)."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._senders.wake_one()
        return item

    async def receive(self) -> T:
        """Take the next item, waiting for it.

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
        """Say that nothing more will come. Closing twice is closing once."""
        self._closed = True
        self._senders.wake_all()
        self._receivers.wake_all()
        self._announce()

    def _announce(self) -> None:
        self._receivers.wake_one()
        if self._notify is not None:
            self._notify()

    async def __aiter__(self) -> AsyncIterator[T]:
        """Items until the end."""
        while True:
            try:
                item = await self.receive()
            except ChannelClosedError:
                return
            yield item
