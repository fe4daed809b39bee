"""The two ways in which a task of the pipeline waits: in a queue of waiters, or for a wake event.

Both belong to one event loop and are called from its tasks only. They hold no data, so a cancelled wait loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters:
    """Tasks that wait in FIFO order.

    A wake-up is a hint: a woken task checks its condition and, if it no longer holds, waits again.
    """

    def __init__(self) -> None:
        self._futures: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return sum(1 for future in self._futures if not future.done())

    def __bool__(self) -> bool:
        """Whether a task may be waiting; cheaper than `len`, and called far more often."""
        return bool(self._futures)

    async def wait(self) -> None:
        """Wait until woken. A task that is cancelled after its wake-up passes the wake-up to the next one."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.wake_one()
            raise

    def wake_one(self) -> None:
        """Wake the task that has waited longest."""
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake every waiting task."""
        while self._futures:
            self.wake_one()


class WakeEvent:
    """One task waits, any number notify. A notification before the wait is kept; several count as one."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """Wake the waiting task now, or as soon as it waits."""
        self._notified.set()

    async def wait(self, until: float | None = None) -> None:
        """Wait for a notification, or until `until` (seconds of the loop's clock; None: without a limit)."""
        try:
            async with asyncio.timeout_at(until):
                await self._notified.wait()
        except TimeoutError:
            return
        self._notified.clear()
