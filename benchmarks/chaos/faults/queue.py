"""Faults of the queue service; most are done by the queue server itself (`lab/queue/faults.py`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.queues import DAEMONS_KEY


def internal_errors(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """A third to all of the calls are answered with 500."""
    return _changed(scene, RefusedShare=scene.random.uniform(0.3, 1.0), Rejection="internal")


def throttled(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """A third to all of the calls are answered with RequestThrottled."""
    return _changed(scene, RefusedShare=scene.random.uniform(0.3, 1.0), Rejection="throttled")


def failed_entries(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Batches are answered with 200, and some or all of their entries have failed."""
    return _changed(scene, FailedEntryShare=scene.random.uniform(0.1, 1.0))


def lost_answers(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Calls have their effect, and the connection breaks instead of an answer."""
    return _changed(scene, LostAnswerShare=scene.random.uniform(0.05, 0.5))


def slow_answers(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Answers take up to a second."""
    return _changed(scene, DelaySeconds=scene.random.uniform(0.05, 0.5))


def duplicates(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """What was handed out is handed out again, at once."""
    return _changed(scene, DuplicateShare=scene.random.uniform(0.05, 0.5))


def reordered(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Messages come up to two seconds late, behind those that were sent after them."""
    return _changed(scene, PostponedShare=scene.random.uniform(0.1, 0.6))


def expired_handles(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Deletes are answered as done, and some have no effect: the messages come again."""
    return _changed(scene, ForgottenDeleteShare=scene.random.uniform(0.05, 0.6), VisibilitySecondsAtMost=2)


def short_visibility(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """Messages are visible again after a second, whatever was asked for."""
    return _changed(scene, VisibilitySecondsAtMost=1)


def wall_in_flight(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """As many messages are in flight as may be: polls come back empty, and nothing says why."""
    return _changed(scene, InFlightLimit=scene.random.randrange(0, 60))


def clock_skewed(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """The service's clock and ours are up to an hour apart: signatures of now are none of its now."""
    return _changed(scene, ClockOffsetSeconds=scene.random.choice((-1, 1)) * scene.random.uniform(240, 3600))


@asynccontextmanager
async def visibility_over(scene: RunContext) -> AsyncIterator[None]:
    """Every visibility timeout is over at once, while the messages are being written."""
    scene.queue.expire_visibility()
    yield
    scene.queue.expire_visibility()


@asynccontextmanager
async def credentials_expired(scene: RunContext) -> AsyncIterator[None]:
    """The daemon's credentials have expired, and whoever gives new ones does not answer; then it does."""
    scene.credentials.is_away = True
    scene.queue.change(AcceptedKeys={})
    try:
        yield
    finally:
        key = f"{DAEMONS_KEY}-renewed-{scene.random.getrandbits(32):08x}"
        scene.queue.change(AcceptedKeys={key: key})
        scene.credentials.renew(key)


@asynccontextmanager
async def _changed(scene: RunContext, **fields: Any) -> AsyncIterator[None]:
    scene.queue.change(Seed=scene.random.getrandbits(32), **fields)
    try:
        yield
    finally:
        scene.queue.change(**dict.fromkeys(fields))
