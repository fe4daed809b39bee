"""SIGTERM under heavy load, many times: every stop is in time, and no message is in flight a second later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Final, TypeAlias

from benchmarks.chaos.database import ChaosDatabase
from benchmarks.chaos.faults.process import IN_FLIGHT_SECONDS
from benchmarks.chaos.load import ChaosLoad
from benchmarks.chaos.observations import Observations
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.queues import ChaosQueue
from benchmarks.chaos.run import prepared_run
from testkit.terminal import Screen, duration

EnvironmentFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[ChaosDatabase, ChaosQueue]]]

FLOOD_MESSAGES: Final = 200_000
"""More than a daemon drains before it is stopped, so that every stop happens under load."""
TRIES_PER_FLOOD: Final = 10
_FIRST_SECONDS, _LAST_SECONDS = 0.0, 1.5


async def shutdown_scenario(tries: int, seed: int, environment: EnvironmentFactory, screen: Screen) -> bool:
    """Stops a daemon `tries` times at random moments; whether every stop was in time and released its messages."""
    seconds: list[float] = []
    failed: list[str] = []
    async with environment() as (database, queue):
        for first in range(0, tries, TRIES_PER_FLOOD):
            number = min(TRIES_PER_FLOOD, tries - first)
            observations = Observations()
            seconds += await _stops(number, seed + first, database, queue, observations)
            failed += observations.errors
            screen.say(f"  {len(seconds)} stops, the longest {duration(max(seconds))}; {len(failed)} errors")
    for sentence in failed:
        screen.say(f"  {sentence}")
    good = tries - len(failed)
    screen.say(f"{good} of {tries} stops in time, with nothing in flight {IN_FLIGHT_SECONDS:g} s later")
    return not failed


async def _stops(
    tries: int, seed: int, database: ChaosDatabase, queue: ChaosQueue, observations: Observations
) -> list[float]:
    """Starts and stops a daemon `tries` times on one backlog; returns the seconds of each stop."""
    random, seconds = Random(f"stop/{seed}"), []
    plan = Plan(seed, FLOOD_MESSAGES, 0.0, daemons=1, concurrency=2, batch_rows=500, occurrences=())
    async with prepared_run(plan, database, queue, observations) as context:
        daemon = context.daemons[0]
        queue.attach(ChaosLoad(seed, FLOOD_MESSAGES))
        for _ in range(tries):
            if daemon.daemon is None:
                daemon.start()
            await daemon.started()
            await asyncio.sleep(random.uniform(_FIRST_SECONDS, _LAST_SECONDS))
            began = time.monotonic()
            await daemon.terminate()
            seconds.append(time.monotonic() - began)
            await asyncio.sleep(IN_FLIGHT_SECONDS)
            counts = queue.counts()
            if counts.in_flight:
                observations.errors.append(f"{counts.in_flight} in flight after a stop of {seconds[-1]:.1f} s")
            if not counts.visible:
                observations.errors.append("the backlog was drained before the stop: nothing was tested")
        observations.take([daemon])
    return seconds
