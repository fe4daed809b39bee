"""Faults of the network between daemon and database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.proxy import Weather

_BETWEEN_RESETS_SECONDS = 0.3


@asynccontextmanager
async def silent(scene: RunContext) -> AsyncIterator[None]:
    """Nothing passes, and nobody hangs up; afterwards what was underway is lost with its connections."""
    scene.network.set_weather("silent")
    try:
        yield
    finally:
        scene.network.reset_all()
        scene.network.set_weather("fair")


@asynccontextmanager
async def slow(scene: RunContext) -> AsyncIterator[None]:
    """Whatever passes takes 5 to 100 ms longer, both ways."""
    scene.network.slow_seconds = scene.random.uniform(0.005, 0.1)
    async with _weather(scene, "slow"):
        yield


@asynccontextmanager
async def reset(scene: RunContext) -> AsyncIterator[None]:
    """Every connection breaks, a few times a second."""

    async def break_off() -> None:
        while True:
            scene.network.reset_all()
            await asyncio.sleep(_BETWEEN_RESETS_SECONDS * scene.random.random())

    breaking = asyncio.create_task(break_off(), name="resets")
    try:
        yield
    finally:
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)


@asynccontextmanager
async def cut_after_commit(scene: RunContext) -> AsyncIterator[None]:
    """What is stored is stored, but the daemon is never told: the connection breaks instead."""
    async with _weather(scene, "cut_after_commit"):
        yield


@asynccontextmanager
async def _weather(scene: RunContext, weather: Weather) -> AsyncIterator[None]:
    scene.network.set_weather(weather)
    try:
        yield
    finally:
        scene.network.set_weather("fair")
