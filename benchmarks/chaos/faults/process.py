"""Faults of the daemon's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.context import RunContext

IN_FLIGHT_SECONDS = 1.0
"""After so long none of a stopped daemon's messages may be in flight."""


@asynccontextmanager
async def killed(context: RunContext) -> AsyncIterator[None]:
    """A daemon gets SIGKILL; later the visibility timeout of its messages ends and another daemon starts."""
    daemon = context.random_daemon()
    daemon.kill()
    yield
    context.queue.expire_visibility()
    daemon.start()
    await daemon.started()


@asynccontextmanager
async def terminated(context: RunContext) -> AsyncIterator[None]:
    """A daemon gets SIGTERM under load; a second after its end none of its messages may be in flight."""
    daemon = context.random_daemon()
    await daemon.terminate()
    if context.is_alone:
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        in_flight = context.queue.counts().in_flight
        if in_flight:
            context.error(f"{in_flight} messages were in flight a second after a stop")
    yield
    daemon.start()
    await daemon.started()
