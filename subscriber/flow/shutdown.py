"""How the process is told to end: once is please, twice is now."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StopRequest:
    """Set by SIGTERM or SIGINT: `asked` by the first, `urged` by the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.urged = asyncio.Event()

    def install(self) -> None:
        """Listen to both signals on the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Ask once more."""
        if self.asked.is_set():
            self.urged.set()
        self.asked.set()


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, or None if `event` was set first, in which case `work` is cancelled and awaited."""
    task = asyncio.create_task(work, name="work")
    waiting = asyncio.create_task(event.wait(), name="event")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
