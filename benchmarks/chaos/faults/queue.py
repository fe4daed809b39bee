"""Faults of the queue service; the SQS emulator itself implements most of them (`testkit/sqs/faults.py`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.queues import DAEMONS_KEY


def internal_errors(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A third to all of the calls fail with HTTP 500."""
    return _changed(context, FailedCallShare=context.random.uniform(0.3, 1.0), Failure="internal")


def throttled(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A third to all of the calls fail with RequestThrottled."""
    return _changed(context, FailedCallShare=context.random.uniform(0.3, 1.0), Failure="throttled")


def failed_entries(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Batch calls succeed with HTTP 200, but some or all of their entries fail."""
    return _changed(context, FailedEntryShare=context.random.uniform(0.1, 1.0))


def lost_responses(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Calls take effect, but the connection is reset before the response."""
    return _changed(context, LostAnswerShare=context.random.uniform(0.05, 0.5))


def slow_responses(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Responses take up to a second."""
    return _changed(context, DelaySeconds=context.random.uniform(0.05, 0.5))


def duplicates(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Delivered messages are delivered again at once."""
    return _changed(context, DuplicateShare=context.random.uniform(0.05, 0.5))


def reordered(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Messages arrive up to two seconds late, after messages that were sent later."""
    return _changed(context, PostponedShare=context.random.uniform(0.1, 0.6))


def expired_handles(context: RunContext) -> AbstractAsyncContextManager[None]:
    """All deletes succeed, but some have no effect: those messages are redelivered."""
    return _changed(context, ForgottenDeleteShare=context.random.uniform(0.05, 0.6), VisibilitySecondsAtMost=2)


def short_visibility(context: RunContext) -> AbstractAsyncContextManager[None]:
    """Messages become visible again after a second, whatever visibility timeout was requested."""
    return _changed(context, VisibilitySecondsAtMost=1)


def in_flight_limit(context: RunContext) -> AbstractAsyncContextManager[None]:
    """The queue has reached its in-flight limit: polls come back empty, without an error."""
    return _changed(context, InFlightLimit=context.random.randrange(0, 60))


def clock_skewed(context: RunContext) -> AbstractAsyncContextManager[None]:
    """The service's clock and ours differ by up to an hour, so request signatures are not valid."""
    return _changed(context, ClockOffsetSeconds=context.random.choice((-1, 1)) * context.random.uniform(240, 3600))


@asynccontextmanager
async def visibility_over(context: RunContext) -> AsyncIterator[None]:
    """All visibility timeouts end at once while the messages are being written."""
    context.queue.expire_visibility()
    yield
    context.queue.expire_visibility()


@asynccontextmanager
async def credentials_expired(context: RunContext) -> AsyncIterator[None]:
    """The daemon's credentials expire while the credentials endpoint fails; later the endpoint recovers."""
    context.credentials.is_unavailable = True
    context.queue.change(AcceptedKeys={})
    try:
        yield
    finally:
        key = f"{DAEMONS_KEY}-renewed-{context.random.getrandbits(32):08x}"
        context.queue.change(AcceptedKeys={key: key})
        context.credentials.renew(key)


@asynccontextmanager
async def _changed(context: RunContext, **fields: Any) -> AsyncIterator[None]:
    context.queue.change(Seed=context.random.getrandbits(32), **fields)
    try:
        yield
    finally:
        context.queue.change(**dict.fromkeys(fields))
