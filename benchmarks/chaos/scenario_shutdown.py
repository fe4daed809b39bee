"""SIGTERM under a flood, many times: every stop is in time, and a second later nothing of it is in flight."""

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
from benchmarks.chaos.run import staged
from testkit.terminal import Screen, duration

Stage: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[ChaosDatabase, ChaosQueue]]]

FLOOD_MESSAGES: Final = 200_000
"""More than a daemon takes before it is stopped, so that the flood is on at every stop."""
TRIES_PER_FLOOD: Final = 10
_FIRST_SECONDS, _LAST_SECONDS = 0.0, 1.5


async def stop_trials(tries: int, seed: int, stage: Stage, screen: Screen) -> bool:
    """So many stops at random moments; whether all were as they must be."""
    seconds: list[float] = []
    failed: list[str] = []
    async with stage() as (database, queue):
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
    """Start and stop a daemon so often, all on one flood; how long each stop took."""
    random, seconds = Random(f"stop/{seed}"), []
    plan = Plan(seed, FLOOD_MESSAGES, 0.0, daemons=1, concurrency=2, batch_rows=500, occurrences=())
    async with staged(plan, database, queue, observations) as scene:
        daemon = scene.daemons[0]
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
                observations.errors.append("the flood was over before the stop: nothing was tried")
        observations.take([daemon])
    return seconds
