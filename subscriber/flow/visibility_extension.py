"""Keeps leases alive while their messages wait: behind a slow database, an operator's pause, an outage.

A lease is renewed at half of its time, in calls of ten messages of one queue, and handed back when it was held as long
as the terms allow. A message whose renewal the queue refuses, or whose time has run out, is *expired*: others may have
it, so nothing more is begun with it. All of that is one task. It sleeps until the earliest moment at which something
is to be done; what it does not know yet, because it came while it slept, is due later than that by its age. So a line
that keeps up is never asked about, and sends no renewal.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from subscriber.errors import QueueCallError
from subscriber.flow.leases import CLOCK_RESERVE_SECONDS, IN_FLIGHT_AT_MOST_SECONDS, LeaseTerms
from subscriber.model import BatchAnswer, Lease
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name

ENTRIES_AT_MOST = 10
"""Entries of one ChangeMessageVisibilityBatch (SQS API reference)."""

CALLS_AT_MOST = 4
"""Under way at once: there is half a lease of time for them, and deletes share their connections."""

GONE_CODES = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"})
"""What the queue says of a handle whose time is over, or whose message was received again. SQS has been seen to say
each of the three; any other word speaks of the call and may be different the next time."""

Act: TypeAlias = Literal["renew", "release", "lose"]
"""What is due of a lease."""

_log = get_logger()


class VisibilityClient(Protocol):
    """The queue's side; takes ten entries at most and raises QueueCallError."""

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Hide each handle for so many seconds from now; 0 makes it visible at once."""
        ...


class Leases(Protocol):
    """The book of leases."""

    @property
    def terms(self) -> LeaseTerms:
        """For how long messages are ours."""
        ...

    def filled(self) -> list[Lease]:
        """The leases of which something is here."""
        ...


class VisibilityChange(msgspec.Struct, frozen=True):
    """One call to make."""

    queue: str
    handles: tuple[str, ...]
    seconds: int


def act_for(lease: Lease, now: float) -> Act | None:
    """What is due of `lease` at `now`, by the loop's clock; None: nothing yet."""
    if now >= lease.expires_at:
        return "lose"
    if now >= lease.held_until:
        return "release"
    return "renew" if now >= lease.renew_at else None


def renewal_seconds(lease: Lease, now: float, terms: LeaseTerms) -> int:
    """For how long a lease is renewed: the whole visibility, but never past twelve hours after its receive."""
    left = lease.taken_at + IN_FLIGHT_AT_MOST_SECONDS - CLOCK_RESERVE_SECONDS - now
    return max(0, math.floor(min(terms.visibility_seconds, left)))


def wake_at(leases: Sequence[Lease], now: float, terms: LeaseTerms) -> float:
    """When something is due next, of these leases or of any that is taken after `now`."""
    longest = now + min(terms.visibility_seconds / 2, terms.hold_seconds)
    return min((min(one.renew_at, one.held_until, one.expires_at) for one in leases), default=longest)


def changes_for(leases: Sequence[Lease], now: float, terms: LeaseTerms, act: Act) -> Iterator[VisibilityChange]:
    """The calls that `act` takes for all these leases: handles of one queue and one time go together, by tens."""
    groups: dict[tuple[str, int], list[str]] = {}
    for lease in leases:
        seconds = renewal_seconds(lease, now, terms) if act == "renew" else 0
        groups.setdefault((lease.queue, seconds), []).extend(sorted(lease.handles - lease.expired))
    for (queue, seconds), handles in groups.items():
        for start in range(0, len(handles), ENTRIES_AT_MOST):
            yield VisibilityChange(queue, tuple(handles[start : start + ENTRIES_AT_MOST]), seconds)


class Answers:
    """What the queues have said so far, of one round of calls."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.gone: set[str] = set()

    def take(self, change: VisibilityChange, answer: BatchAnswer) -> None:
        """What one call was answered."""
        self.done.update(change.handles[position] for position in answer.done)
        self.gone.update(change.handles[position] for position, code in answer.failed if code in GONE_CODES)


class VisibilityExtender:
    """One for the line.

    Args:
        leases: the book.
        queues: who is asked.
        metrics: the catalog.
    """

    def __init__(self, leases: Leases, queues: VisibilityClient, metrics: Metrics) -> None:
        self._leases = leases
        self._queues = queues
        self._metrics = metrics
        self._terms = leases.terms
        self._retry_seconds = max(0.2, min(5.0, self._terms.visibility_seconds / 20))

    async def run(self) -> None:
        """Keep leases, for ever; ends by cancellation only, at which every lease stays as true as it was."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(wake_at(self._leases.filled(), clock(), self._terms) - clock())
            await self._process_due(clock())

    async def _process_due(self, now: float) -> None:
        due: dict[Act, list[Lease]] = {"lose": [], "release": [], "renew": []}
        soon = now + self._terms.visibility_seconds / 10  # who is due a little later fills up the calls of now
        for lease in self._leases.filled():
            act = act_for(lease, now) or ("renew" if lease.renew_at <= soon else None)
            if act is not None:
                due[act].append(lease)
        for lease in due["lose"]:
            self._expire(lease, lease.handles - lease.expired, "expired")
        if due["release"]:
            await self._release(due["release"], now)
        if due["renew"]:
            await self._renew(due["renew"], now)

    async def _renew(self, leases: Sequence[Lease], now: float) -> None:
        answers = Answers()
        clock = asyncio.get_running_loop().time
        times = [renewal_seconds(lease, now, self._terms) for lease in leases]
        await self._ask(changes_for(leases, now, self._terms, "renew"), "renew", answers)
        for lease, seconds in zip(leases, times, strict=True):
            self._expire(lease, (lease.handles - lease.expired) & answers.gone, "refused")
            ours = lease.handles - lease.expired
            if ours <= answers.done:
                lease.expires_at = now + seconds  # from before the call: the queue counts from a little later
                lease.renew_at = now + seconds / 2
                self._metrics.visibility_extended_messages.labels(queue_name(lease.queue)).inc(len(ours))
            else:
                lease.renew_at = clock() + self._retry_seconds

    async def _release(self, leases: Sequence[Lease], now: float) -> None:
        """Make visible what was held too long. Meanwhile nothing is begun with it, and what is not done stays ours."""
        answers = Answers()
        changes = list(changes_for(leases, now, self._terms, "release"))
        asked = [(lease, lease.handles - lease.expired) for lease in leases]
        for lease, handles in asked:
            lease.expired |= handles
            lease.releasing |= handles
        try:
            await self._ask(changes, "release", answers)
        finally:
            again = asyncio.get_running_loop().time() + self._retry_seconds
            for lease, handles in asked:
                lease.releasing -= handles
                lease.expired -= handles - answers.done - answers.gone
                lease.renew_at, lease.held_until = math.inf, again
                # Some may have been settled meanwhile, their batch having been given up; they count all the same.
                self._metrics.released_messages.labels(queue_name(lease.queue)).inc(len(handles & answers.done))
        _log.warning(
            "leases.released",
            messages=len(answers.done),
            held=sum(len(handles) for _, handles in asked),
            after_seconds=self._terms.hold_seconds,
        )

    def _expire(self, lease: Lease, handles: set[str], reason: str) -> None:
        if not handles:
            return
        lease.expired |= handles
        self._metrics.lease_expired_messages.labels(queue_name(lease.queue), reason).inc(len(handles))
        _log.warning("leases.expired", queue=queue_name(lease.queue), messages=len(handles), reason=reason)

    async def _ask(
        self, changes: Iterator[VisibilityChange] | list[VisibilityChange], operation: str, answers: Answers
    ) -> None:
        places = asyncio.Semaphore(CALLS_AT_MOST)
        async with asyncio.TaskGroup() as calls:
            for change in changes:
                await places.acquire()
                calls.create_task(self._call(change, operation, answers, places), name=operation)

    async def _call(
        self, change: VisibilityChange, operation: str, answers: Answers, places: asyncio.Semaphore
    ) -> None:
        self._metrics.settle_requests.labels(queue_name(change.queue), operation).inc()
        try:
            answer = await self._queues.change_visibility(
                change.queue, [(handle, change.seconds) for handle in change.handles]
            )
        except QueueCallError as error:
            self._metrics.queue_errors.labels(operation, error.code).inc()
        else:
            answers.take(change, answer)
            for _, code in answer.failed:
                self._metrics.queue_errors.labels(operation, code).inc()
        finally:
            places.release()
