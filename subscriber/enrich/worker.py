"""Takes versions off the queue, asks S3 about each, and stores the answers.

Some loops share what one claim has taken. A loop that fails or is stopped loses nothing: the lease of its version ends,
and any worker takes it again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from subscriber.adapters.postgres.enrichment import ClaimedVersion
from subscriber.adapters.s3.metadata import ObjectMetadata
from subscriber.enrich.policy import is_denied, next_try, pause_seconds, requests_allowed
from subscriber.errors import ListingError, SubscriberError
from subscriber.flow.backoff import Backoff, is_power_of_two
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

READ_SECONDS_AT_MOST: Final = 120.0
"""Of one version, with all attempts of its requests."""
LEASE_SECONDS: Final = 3 * READ_SECONDS_AT_MOST
"""A version waits for the read of one other at most, and is stored after its own."""
IDLE_SECONDS: Final = 1.0
BILL_SECONDS: Final = 60.0
"""Between two looks at a bill that is used up: another month may have begun."""
_FAILED_DELAYS: Final = Backoff(first_seconds=1.0, max_seconds=60.0, jitter=0.5)
_CHANGED: Final = "ObjectChanged: S3 has other content than the index; the event of it queues the version again"

_log = get_logger()


class Queue(Protocol):
    """The queue; every method raises StoreError."""

    async def claim(self, at_most: int, lease_seconds: float) -> list[ClaimedVersion]:
        """Take due versions."""

    async def store(self, version: ClaimedVersion, metadata: Mapping[str, object], etag: str) -> bool:
        """Store an answer; False: it is of another content."""

    async def remove(self, version: ClaimedVersion) -> None:
        """S3 has no such version."""

    async def fail(
        self, version: ClaimedVersion, error: str, retry_seconds: float | None, *, counts: bool = True
    ) -> None:
        """Note a failure."""

    async def spend(self, requests: int) -> int:
        """Note requests; how many the fleet has made in this month."""


class MetadataReader(Protocol):
    """S3."""

    @property
    def requests(self) -> int:
        """Requests started so far."""

    async def read(self, bucket: str, key: str, version_id: str) -> ObjectMetadata | None:
        """The metadata of a version; raises ListingError."""


class EnrichOptions(msgspec.Struct, frozen=True):
    """Bounds of one worker."""

    concurrency: int
    dollars_per_month: float
    """Of the whole fleet; 0: without a bound."""
    price_per_million: float
    """USD of a million requests."""


class EnrichmentWorker:
    """One per daemon.

    Args:
        options: its bounds.
        queue: where versions wait.
        reader: asks S3.
        metrics: where outcomes are counted.
    """

    def __init__(self, options: EnrichOptions, queue: Queue, reader: MetadataReader, metrics: Metrics) -> None:
        self._options = options
        self._queue = queue
        self._reader = reader
        self._metrics = metrics
        self._claimed: deque[ClaimedVersion] = deque()
        self._turn = asyncio.Lock()
        self._noted_requests = reader.requests
        self._month_requests: int | None = None
        self._failures = 0
        self._denied_in_a_row = 0
        self._is_paused_by_bill = False

    async def run(self) -> None:
        """Ask and store; ends by cancellation only."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._options.concurrency):
                tasks.create_task(self._loop(), name=f"enrichment {number}")

    async def _loop(self) -> None:
        while True:
            version = await self._next()
            try:
                await self._enrich(version)
            except SubscriberError as error:  # its lease ends
                await self._failed(error)

    async def _next(self) -> ClaimedVersion:
        """One loop at a time fills what all take from; it waits for work, for the bill, and for the rights."""
        async with self._turn:
            while not self._claimed:
                try:
                    await self._fill()
                except SubscriberError as error:
                    await self._failed(error)
            return self._claimed.popleft()

    async def _fill(self) -> None:
        if pause := pause_seconds(self._denied_in_a_row, self._options.concurrency):
            await asyncio.sleep(pause)
        if not await self._is_paid():
            await asyncio.sleep(BILL_SECONDS)
            return
        self._claimed.extend(in_order(await self._queue.claim(self._options.concurrency, LEASE_SECONDS)))
        self._failures = 0
        if not self._claimed:
            await asyncio.sleep(IDLE_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 – jitter

    async def _is_paid(self) -> bool:
        """Note the requests since the last look, and whether the bill of the month allows more."""
        new = self._reader.requests - self._noted_requests
        if new or self._month_requests is None or self._is_paused_by_bill:
            self._month_requests = await self._queue.spend(new)
            self._noted_requests += new
            self._metrics.enrich_requests.inc(new)
            self._metrics.enrich_month_requests.set(self._month_requests)
        allowed = requests_allowed(self._options.dollars_per_month, self._options.price_per_million)
        is_paid = allowed is None or self._month_requests < allowed
        if not is_paid and not self._is_paused_by_bill:
            _log.warning("enrichment.bill_reached", requests=self._month_requests, allowed_requests=allowed)
        self._is_paused_by_bill = not is_paid
        return is_paid

    async def _enrich(self, version: ClaimedVersion) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS_AT_MOST):
                found = await self._reader.read(version.bucket, version.key, version.version_id)
        except TimeoutError:
            await self._note_failure(version, "Timeout", f"Timeout: S3 took longer than {READ_SECONDS_AT_MOST:g} s")
            return
        except ListingError as error:
            await self._note_failure(version, error.code, str(error))
            return
        self._denied_in_a_row = 0
        if found is None:
            await self._queue.remove(version)
            self._count("gone")
        elif await self._queue.store(version, found.document(), found.etag):
            self._count("stored")
        else:
            await self._note_failure(version, "ObjectChanged", _CHANGED)

    async def _note_failure(self, version: ClaimedVersion, code: str, sentence: str) -> None:
        self._denied_in_a_row = self._denied_in_a_row + 1 if is_denied(code) else 0
        if is_power_of_two(self._denied_in_a_row):
            _log.warning("enrichment.denied", bucket=version.bucket, detail=sentence, versions=self._denied_in_a_row)
        seconds, counts = next_try(code, version.attempts)
        await self._queue.fail(version, without_key(sentence, version), seconds, counts=counts)
        self._count("given_up" if seconds is None else "failed")

    async def _failed(self, error: SubscriberError) -> None:
        self._failures += 1
        if is_power_of_two(self._failures):
            _log.warning("enrichment.failed", detail=str(error), failures=self._failures)
        await asyncio.sleep(_FAILED_DELAYS.delay_seconds(self._failures))

    def _count(self, outcome: str) -> None:
        self._metrics.enriched_versions.labels(outcome).inc()


def without_key(sentence: str, version: ClaimedVersion) -> str:
    """A sentence without the key, so that equal errors of many versions are counted as one."""
    return sentence.replace(f"/{version.key}", "/…")


def in_order(versions: Sequence[ClaimedVersion]) -> list[ClaimedVersion]:
    """The newest first, as they were claimed by."""
    return sorted(versions, key=lambda version: version.generation, reverse=True)
