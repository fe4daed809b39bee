"""Shutdown signals: the first SIGTERM or SIGINT drains, the second aborts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StopRequest:
    """Set by SIGTERM or SIGINT: `requested` by the first, `forced` by the second."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = asyncio.Event()

    def install(self) -> None:
        """Handle both signals on the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request)

    def request(self) -> None:
        """Request a stop; a second request forces it."""
        if self.requested.is_set():
            self.forced.set()
        self.requested.set()


async def run_until(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Run `work` until `event` is set, and return its result.

    Return None if `event` was set first, after `work` was cancelled and awaited.
    """
    task = asyncio.create_task(work, name="work")
    waiting = asyncio.create_task(event.wait(), name="event")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
