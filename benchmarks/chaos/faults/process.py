"""Faults of the daemon's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.context import RunContext

IN_FLIGHT_SECONDS = 1.0
"""So long after a stop nothing may be in flight any more."""


@asynccontextmanager
async def killed(scene: RunContext) -> AsyncIterator[None]:
    """SIGKILL; another is started later, and what the dead one held is shown again as if its time were over."""
    victim = scene.some_daemon()
    victim.kill()
    yield
    scene.queue.expire_visibility()
    victim.start()
    await victim.started()


@asynccontextmanager
async def terminated(scene: RunContext) -> AsyncIterator[None]:
    """SIGTERM in the middle of the work; a second after the end nothing of its messages is in flight."""
    victim = scene.some_daemon()
    await victim.terminate()
    if scene.is_alone:
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        in_flight = scene.queue.counts().in_flight
        if in_flight:
            scene.error(f"{in_flight} messages were in flight a second after a stop")
    yield
    victim.start()
    await victim.started()
