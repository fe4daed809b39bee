"""What makes a peer a process like the others: it says `ready`, works, and ends on SIGTERM with code 0."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

DATABASE_URL = "PEER_DATABASE_URL"
"""The variable with the database's URL: it holds a password, and arguments can be read by everyone."""


def database_url() -> str:
    """Where to store."""
    return os.environ[DATABASE_URL]


def serve(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` until it ends or SIGTERM comes."""
    uvloop.run(_until_told(work))


def say_ready() -> None:
    """Tells the starter that the queue may be filled now."""
    print("ready", flush=True)


async def _until_told(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(work(), name="peer")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
