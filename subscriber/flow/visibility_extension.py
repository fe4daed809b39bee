"""Extends visibility leases while their messages wait: behind a slow database, an operator's pause, an outage.

A lease is extended at half of its time, in calls of ten messages of one queue, and released once it was held as long as
the terms allow. A message whose extension SQS rejects, or whose lease has run out, is *expired*: another consumer may
receive it, so no write begins with it. One task does all of that. It sleeps until the earliest due time of the leases
it knows; a lease that is filled meanwhile is younger and therefore due later. So a pipeline that keeps up sends no
extension.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from subscriber.errors import AwsErrorKind, QueueCallError, aws_error_kind
from subscriber.flow.backoff import delay_as_asked
from subscriber.flow.leases import CLOCK_RESERVE_SECONDS, LeaseTerms, VisibilityLeases
from subscriber.model import ENTRIES_PER_CALL, VISIBILITY_SECONDS_AT_MOST, BatchAnswer, Lease
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.ports import QueueClient

CALLS_AT_MOST = 4
"""Concurrent extensions: half a lease of time is left for them, and deletes share their connections."""

RELEASES_AT_MOST = 2
"""Concurrent releases beside them: they may hang as long as SQS does, and no lease depends on them."""

DueAction: TypeAlias = Literal["extend", "release", "expire"]

_log = get_logger()


class VisibilityChange(msgspec.Struct, frozen=True):
    """One call to make: keep the messages invisible for so many seconds, or release them (0)."""

    queue: str
    handles: tuple[str, ...]
    seconds: int


def action_due(lease: Lease, now: float) -> DueAction | None:
    """The action that is due for `lease` at `now`, on the event loop's clock; None: nothing yet."""
    if now >= lease.expires_at:
        return "expire"
    if now >= lease.held_until:
        return "release"
    return "extend" if now >= lease.extend_at else None


def extension_seconds(lease: Lease, now: float, terms: LeaseTerms) -> int:
    """How long to extend a lease: the whole visibility timeout, but never past twelve hours after its receive."""
    left = lease.taken_at + VISIBILITY_SECONDS_AT_MOST - CLOCK_RESERVE_SECONDS - now
    return max(0, math.floor(min(terms.visibility_seconds, left)))


def wake_at(leases: Sequence[Lease], now: float, terms: LeaseTerms) -> float:
    """When the next action is due, for these leases or for any that is filled after `now`."""
    longest = now + min(terms.visibility_seconds / 2, terms.hold_seconds)
    return min((min(one.extend_at, one.held_until, one.expires_at) for one in leases), default=longest)


def changes_for(
    leases: Sequence[Lease], now: float, terms: LeaseTerms, action: DueAction
) -> Iterator[VisibilityChange]:
    """The calls that `action` takes for all these leases, grouped by queue and by seconds."""
    groups: dict[tuple[str, int], list[str]] = {}
    for lease in leases:
        seconds = extension_seconds(lease, now, terms) if action == "extend" else 0
        groups.setdefault((lease.queue, seconds), []).extend(sorted(lease.handles - lease.expired))
    for (queue, seconds), handles in groups.items():
        for start in range(0, len(handles), ENTRIES_PER_CALL):
            yield VisibilityChange(queue, tuple(handles[start : start + ENTRIES_PER_CALL]), seconds)


class Answers:
    """The answers to one round of calls so far."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.gone: set[str] = set()
        """Handles that are over: their messages may be with another consumer."""
        self.asked_seconds = 0.0
        """How long the queue asks to wait after a failed call."""

    def add(self, change: VisibilityChange, answer: BatchAnswer) -> None:
        """Record the answer to one call."""
        self.done.update(change.handles[position] for position in answer.done)
        self.gone.update(
            change.handles[position]
            for position, code in answer.failed
            if aws_error_kind(code) is AwsErrorKind.GONE_HANDLE
        )


class VisibilityExtender:
    """One per pipeline.

    Args:
        leases: what to extend.
        queues: the SQS client.
        metrics: the metrics of the process.
    """

    def __init__(self, leases: VisibilityLeases, queues: QueueClient, metrics: Metrics) -> None:
        self._leases = leases
        self._queues = queues
        self._metrics = metrics
        self._terms = leases.terms
        self._extend_slots = asyncio.Semaphore(CALLS_AT_MOST)
        self._release_slots = asyncio.Semaphore(RELEASES_AT_MOST)
        self._release_rounds: set[asyncio.Task[None]] = set()
        """They release what was held too long, beside the extensions, which must not wait for them."""
        self._retry_seconds = max(0.2, min(5.0, self._terms.visibility_seconds / 20))

    async def run(self) -> None:
        """Extend leases until cancelled; after a cancellation every lease still says what is true."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                await self._sleep(wake_at(self._leases.filled(), clock(), self._terms) - clock())
                await self._process_due(clock())
        finally:
            for one in self._release_rounds:
                one.cancel()
            if self._release_rounds:
                await asyncio.wait(self._release_rounds)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until a round of releases is over: what it did not release is due again."""
        if not self._release_rounds:
            await asyncio.sleep(seconds)
            return
        over, self._release_rounds = await asyncio.wait(
            self._release_rounds, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
        )
        for one in over:
            one.result()

    async def _process_due(self, now: float) -> None:
        due: dict[DueAction, list[Lease]] = {"expire": [], "release": [], "extend": []}
        soon = now + self._terms.visibility_seconds / 10  # leases due a little later fill up the calls of now
        for lease in self._leases.filled():
            action = action_due(lease, now) or ("extend" if lease.extend_at <= soon else None)
            if action is not None:
                due[action].append(lease)
        for lease in due["expire"]:
            self._expire(lease, lease.handles - lease.expired, "expired")
        if due["release"]:
            self._start_release(due["release"], now)
        if due["extend"]:
            await self._extend(due["extend"], now)

    async def _extend(self, leases: Sequence[Lease], now: float) -> None:
        answers = Answers()
        clock = asyncio.get_running_loop().time
        times = [extension_seconds(lease, now, self._terms) for lease in leases]
        await self._call_all(changes_for(leases, now, self._terms, "extend"), "extend", answers, self._extend_slots)
        for lease, seconds in zip(leases, times, strict=True):
            self._expire(lease, (lease.handles - lease.expired) & answers.gone, "rejected")
            ours = lease.handles - lease.expired
            if ours <= answers.done:
                lease.expires_at = now + seconds  # from before the call: SQS starts to count a little later
                lease.extend_at = now + seconds / 2
                self._metrics.visibility_extended_messages.labels(self._metrics.queue_name(lease.queue)).inc(len(ours))
            else:
                lease.extend_at = clock() + self._delay_seconds(lease, answers, clock())

    def _delay_seconds(self, lease: Lease, answers: Answers, now: float) -> float:
        """Until a failed extension is tried again: as the queue asks, but within half of what the lease has left."""
        in_time = max(self._retry_seconds, (lease.expires_at - now) / 2)
        return min(delay_as_asked(self._retry_seconds, answers.asked_seconds), in_time)

    def _start_release(self, leases: Sequence[Lease], now: float) -> None:
        """Release what was held too long. From now on no write begins with it; what is not released stays ours."""
        changes = list(changes_for(leases, now, self._terms, "release"))
        requested = [(lease, lease.handles - lease.expired) for lease in leases]
        for lease, handles in requested:
            lease.expired |= handles
            lease.releasing |= handles
        self._release_rounds.add(asyncio.create_task(self._release(changes, requested), name="release round"))

    async def _release(self, changes: Sequence[VisibilityChange], requested: Sequence[tuple[Lease, set[str]]]) -> None:
        answers = Answers()
        try:
            await self._call_all(changes, "release", answers, self._release_slots)
        finally:
            seconds = delay_as_asked(self._retry_seconds, answers.asked_seconds)
            again = asyncio.get_running_loop().time() + seconds
            for lease, handles in requested:
                lease.releasing -= handles
                lease.expired -= handles - answers.done - answers.gone
                lease.extend_at, lease.held_until = math.inf, again
                # Some may have been settled meanwhile because their batch was given up; they count all the same.
                self._metrics.released_messages.labels(self._metrics.queue_name(lease.queue)).inc(
                    len(handles & answers.done)
                )
        _log.warning(
            "leases.released",
            messages=len(answers.done),
            held=sum(len(handles) for _, handles in requested),
            after_seconds=self._terms.hold_seconds,
        )

    def _expire(self, lease: Lease, handles: set[str], reason: str) -> None:
        if not handles:
            return
        lease.expired |= handles
        self._metrics.lease_expired_messages.labels(self._metrics.queue_name(lease.queue), reason).inc(len(handles))
        _log.warning(
            "leases.expired", queue=self._metrics.queue_name(lease.queue), messages=len(handles), reason=reason
        )

    async def _call_all(
        self, changes: Iterable[VisibilityChange], operation: DueAction, answers: Answers, slots: asyncio.Semaphore
    ) -> None:
        async with asyncio.TaskGroup() as calls:
            for change in changes:
                await slots.acquire()
                calls.create_task(self._call(change, operation, answers, slots), name=operation)

    async def _call(
        self, change: VisibilityChange, operation: DueAction, answers: Answers, slots: asyncio.Semaphore
    ) -> None:
        self._metrics.settle_requests.labels(self._metrics.queue_name(change.queue), operation).inc()
        try:
            if operation == "release":
                answer = await self._queues.release(change.queue, change.handles)
            else:
                entries = [(handle, change.seconds) for handle in change.handles]
                answer = await self._queues.change_visibility(change.queue, entries)
        except QueueCallError as error:
            self._metrics.queue_errors.labels(operation, error.code).inc()
            answers.asked_seconds = max(answers.asked_seconds, error.retry_after_seconds)
        else:
            answers.add(change, answer)
            for _, code in answer.failed:
                self._metrics.queue_errors.labels(operation, code).inc()
        finally:
            slots.release()
