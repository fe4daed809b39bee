"""Faults of what the daemon measures with: its wall clock, and its sensor of database load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.faults.server import stopped_fast

CLOCK_FILE: Final = "clock"
SHIM: Final = Path(__file__).parents[1] / "shim"
_JUMPS_SECONDS = (-3600.0, -60.0, -1.0, 1.0, 60.0, 3600.0, 86_400.0)
_BETWEEN_SECONDS = 0.3


def clock_environment(folder: Path, path: str) -> Mapping[str, str]:
    """Environment that shifts a daemon's wall clock by the seconds in a file; `path` is its PYTHONPATH so far."""
    return {"PYTHONPATH": f"{SHIM}:{path}" if path else str(SHIM), "CHAOS_CLOCK_FILE": str(folder / CLOCK_FILE)}


@asynccontextmanager
async def jumps(context: RunContext) -> AsyncIterator[None]:
    """The daemon's wall clock jumps several times, forward and backward, by a second to a day."""

    async def jump() -> None:
        while True:
            _set_clock(context, context.random.choice(_JUMPS_SECONDS))
            await asyncio.sleep(_BETWEEN_SECONDS)

    jumping = asyncio.create_task(jump(), name="clock")
    try:
        yield
    finally:
        jumping.cancel()
        await asyncio.gather(jumping, return_exceptions=True)
        _set_clock(context, 0.0)


@asynccontextmanager
async def sensor_lost(context: RunContext) -> AsyncIterator[None]:
    """The sensor of the load gets no response: it reads from the database itself, which is down."""
    async with stopped_fast(context):
        yield


def _set_clock(context: RunContext, seconds: float) -> None:
    # Replaced atomically: the daemon may read at any moment.
    draft = context.folder / f"{CLOCK_FILE}.draft"
    draft.write_text(str(seconds))
    draft.replace(context.folder / CLOCK_FILE)
