"""The two ways a task of the line waits: in a queue of waiters, or by a bell.

Both belong to one event loop and are called from its tasks only. Neither holds anything but the fact that
somebody waits, so a cancelled wait can lose nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters:
    """Tasks that wait their turn, first come first served.

    A wake-up is a hint, not a promise: who is woken looks again and, where the chance has gone, waits again.
    """

    def __init__(self) -> None:
        self._futures: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return sum(1 for future in self._futures if not future.done())

    def __bool__(self) -> bool:
        """Whether somebody may be waiting: asked far more often than how many do."""
        return bool(self._futures)

    async def wait(self) -> None:
        """Wait until woken. If cancelled after the wake-up came, the wake-up passes to the next in line."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.wake_one()
            raise

    def wake_one(self) -> None:
        """Wake whoever has waited longest and still does."""
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake everybody: the world has changed for all of them."""
        while self._futures:
            self.wake_one()


class WakeEvent:
    """One waiter, many notifiers. A notification before the wait is remembered; many count as one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def notify(self) -> None:
        """Wake the sleeper now, or as soon as it lies down."""
        self._rung.set()

    async def wait(self, until: float | None = None) -> None:
        """Sleep until rung, or until the loop's clock reads `until` (seconds; None: for as long as it takes)."""
        try:
            async with asyncio.timeout_at(until):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()
