"""Faults of what the daemon measures by: its wall clock, and its sensor of the database's load."""

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
    """What makes a daemon's wall clock obey a file; `path` is the PYTHONPATH it has anyway."""
    return {"PYTHONPATH": f"{SHIM}:{path}" if path else str(SHIM), "TORTURE_CLOCK_FILE": str(folder / CLOCK_FILE)}


@asynccontextmanager
async def jumps(scene: RunContext) -> AsyncIterator[None]:
    """The daemon's wall clock is set, forwards and backwards, by a second to a day, several times."""

    async def jump() -> None:
        while True:
            _set_clock(scene, scene.random.choice(_JUMPS_SECONDS))
            await asyncio.sleep(_BETWEEN_SECONDS)

    jumping = asyncio.create_task(jump(), name="clock")
    try:
        yield
    finally:
        jumping.cancel()
        await asyncio.gather(jumping, return_exceptions=True)
        _set_clock(scene, 0.0)


@asynccontextmanager
async def sensor_lost(scene: RunContext) -> AsyncIterator[None]:
    """The source of the load has no answer: it is the database itself, and that is away."""
    async with stopped_fast(scene):
        yield


def _set_clock(scene: RunContext, seconds: float) -> None:
    # Whole or not at all: the daemon reads at any moment.
    draft = scene.folder / f"{CLOCK_FILE}.draft"
    draft.write_text(str(seconds))
    draft.replace(scene.folder / CLOCK_FILE)
