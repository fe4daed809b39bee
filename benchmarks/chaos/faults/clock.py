"""Faults of what the daemon measures with: its wall clock, and its sensor of database load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.faults.server import stopped_fast
from testkit.process import ProcessError

CLOCK_FILE: Final = "clock"
SHIM: Final = Path(__file__).parents[1] / "shim"
_JUMPS_SECONDS = (-3600.0, -60.0, -1.0, 1.0, 60.0, 3600.0, 86_400.0)
_BETWEEN_SECONDS = 0.3
_AHEAD_SECONDS = (120.0, 780.0)
"""Minutes, but within the fifteen that a request's signature may be off (AWS General Reference, "SigV4")."""
_LAG_SECONDS_AT_MOST = 60.0
"""More than any message of a run waits, and less than the clock is ahead."""


def clock_environment(folder: Path, path: str) -> Mapping[str, str]:
    """Environment that shifts a daemon's wall clock by the seconds in a file; `path` is its PYTHONPATH so far."""
    return {"PYTHONPATH": f"{SHIM}:{path}" if path else str(SHIM), "CHAOS_CLOCK_FILE": str(folder / CLOCK_FILE)}


@asynccontextmanager
async def jumps(context: RunContext) -> AsyncIterator[None]:
    """The daemon's wall clock jumps several times, forward and backward, by a second to a day."""

    async def jump() -> None:
        while True:
            set_clock(context.folder, context.random.choice(_JUMPS_SECONDS))
            await asyncio.sleep(_BETWEEN_SECONDS)

    jumping = asyncio.create_task(jump(), name="clock")
    try:
        yield
    finally:
        jumping.cancel()
        await asyncio.gather(jumping, return_exceptions=True)
        set_clock(context.folder, 0.0)


def seconds_ahead(seed: int) -> float:
    """By how much the clock of a run with `ahead` is ahead, from before the daemons start to their end."""
    return round(Random(f"clock/{seed}").uniform(*_AHEAD_SECONDS), 1)


@asynccontextmanager
async def ahead(context: RunContext) -> AsyncIterator[None]:
    """The daemon's wall clock is 2 to 13 minutes ahead during the whole run; that is no lag."""
    yield
    for daemon in context.daemons:
        with contextlib.suppress(ProcessError, OSError):  # another fault may have ended it
            lag = await asyncio.to_thread(daemon.metric, "subscriber_lag_seconds")
            if lag > _LAG_SECONDS_AT_MOST:
                context.error(f"the lag was {lag:.0f} s while the daemon's clock was ahead")


@asynccontextmanager
async def sensor_lost(context: RunContext) -> AsyncIterator[None]:
    """The sensor of the load gets no response: it reads from the database itself, which is down."""
    async with stopped_fast(context):
        yield


def set_clock(folder: Path, seconds: float) -> None:
    """Shifts the wall clock of all daemons of the run with this folder."""
    # Replaced atomically: the daemon may read at any moment.
    draft = folder / f"{CLOCK_FILE}.draft"
    draft.write_text(str(seconds))
    draft.replace(folder / CLOCK_FILE)
