"""The life cycle of a competitor's process: print `ready`, work, exit with 0 on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

DATABASE_URL = "BASELINE_DATABASE_URL"
"""The environment variable with the database's URL: it holds a password, and other users can read arguments."""


def database_url() -> str:
    """The database's URL."""
    return os.environ[DATABASE_URL]


def serve(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` until it ends or SIGTERM arrives."""
    uvloop.run(_until_stopped(work))


def say_ready() -> None:
    """Reports that the queue may be filled now."""
    print("ready", flush=True)


async def _until_stopped(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(work(), name="competitor")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
