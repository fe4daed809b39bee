"""The lister of one bucket: pages of a range, with retries under a budget of requests."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.s3.chain import KEYS_PER_PAGE, Chain, Listing, Operation
from subscriber.adapters.s3.client import BucketClient, BucketOptions
from subscriber.adapters.s3.fault import THROTTLED_CODES
from subscriber.adapters.s3.page import Page, decoded_page
from subscriber.adapters.s3.xml_flat import read_page
from subscriber.errors import ListingError
from subscriber.flow.backoff import Backoff, delay_as_asked, is_power_of_two
from subscriber.flow.request_budget import RequestBudget, RequestLimits
from subscriber.model import KeyRange, ListedVersion
from subscriber.observe.log import get_logger

ATTEMPTS = 8
"""With BACKOFF a minute at most, longer than S3 takes to split a busy partition's load in most cases."""
BACKOFF = Backoff(first_seconds=0.2, max_seconds=20.0, jitter=0.5)
_HEAD = "HeadBucket"
_VERSIONING = "GetBucketVersioning"

_log = get_logger()

T = TypeVar("T")


class ListerOptions(msgspec.Struct, frozen=True):
    """What is listed and how fast."""

    bucket: BucketOptions
    operation: Operation
    """ListObjectVersions, or ListObjectsV2 for a bucket that never had versioning."""
    prefix: str = ""
    limits: RequestLimits = RequestLimits(at_once=8, per_second=100.0)
    """S3 gives a prefix 5,500 reads a second (S3 user guide, "Optimizing performance"); others need some too."""
    keys_per_page: int = KEYS_PER_PAGE


class BucketLister:
    """An async context and a `ports.Lister`. Every call raises ListingError and nothing else, after ATTEMPTS."""

    def __init__(self, options: ListerOptions) -> None:
        self._listing = Listing(options.operation, options.prefix, options.keys_per_page)
        self._client = BucketClient(options.bucket, options.limits.at_once)
        self._bucket = options.bucket.bucket
        self._budget = RequestBudget(options.limits)
        self._failures = 0

    async def __aenter__(self) -> Self:
        """Find credentials and endpoint; raises as BucketClient does."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests started so far, by operation: S3 charges for each of them, failed ones included."""
        return self._budget.started

    async def server_time(self) -> int:
        """See ports.Lister; it takes one HEAD of the bucket."""
        return await self._try(_HEAD, self._client.head, _date_of)

    async def first_key(self, keys: KeyRange) -> str | None:
        """The first key in a range, by one request for one entry; None if the range is empty."""
        chain = Chain(msgspec.structs.replace(self._listing, keys_per_page=1), keys)
        while not chain.is_ended:
            if entries := await self._next(chain):
                return entries[0].key
        return None

    async def has_versioning(self) -> bool:
        """Whether the bucket has, or ever had, versioning; it cannot be taken away again (GetBucketVersioning)."""
        return await self._try(_VERSIONING, lambda: self._client.get({"versioning": ""}), _has_status)

    async def pages(
        self, keys: KeyRange, entries_at_most: int | None = None
    ) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """See ports.Lister; with `entries_at_most` pages are that short, if it is less than a page."""
        listing = self._listing
        if entries_at_most is not None and entries_at_most < listing.keys_per_page:
            listing = msgspec.structs.replace(listing, keys_per_page=entries_at_most)
        chain = Chain(listing, keys)
        while not chain.is_ended:
            yield await self._next(chain)

    async def _next(self, chain: Chain) -> Sequence[ListedVersion]:
        ask = functools.partial(self._client.get, chain.parameters())
        return chain.take(await self._try(self._listing.operation, ask, _page_of))

    async def _try(
        self, operation: str, ask: Callable[[], Awaitable[HttpResponse]], read: Callable[[HttpResponse], T]
    ) -> T:
        """Ask until the answer can be read."""
        for failures in range(1, ATTEMPTS):
            try:
                async with self._budget.request(operation):
                    return read(await ask())
            except ListingError as error:
                if error.is_permanent:
                    raise
                delay_seconds = self._delay_after(error, failures)
            await asyncio.sleep(delay_seconds)
        async with self._budget.request(operation):
            return read(await ask())

    def _delay_after(self, error: ListingError, failures: int) -> float:
        if error.code in THROTTLED_CODES:
            self._budget.slow_down()
        self._failures += 1
        if is_power_of_two(self._failures):
            _log.warning("listing.retrying", bucket=self._bucket, reason=str(error), failures=self._failures)
        return delay_as_asked(BACKOFF.delay_seconds(failures), error.retry_after_seconds)


def _page_of(response: HttpResponse) -> Page:
    return decoded_page(read_page(response.content))


def _has_status(response: HttpResponse) -> bool:
    """Whether the answer has a status: a bucket that never had versioning has none (GetBucketVersioning)."""
    if b"VersioningConfiguration" not in response.content:
        text = "the service does not tell whether the bucket has versioning"
        raise ListingError("NoVersioningConfiguration", text)
    return b"<Status>" in response.content


def _date_of(response: HttpResponse) -> int:
    """The second in the `Date` header (RFC 9110, section 6.6.1)."""
    header = response.header("Date")
    try:
        return int(parsedate_to_datetime(header).timestamp())
    except ValueError as error:
        text = f"the service does not tell its time (Date: {header!r}), so nothing can be ordered by it"
        raise ListingError("NoServerTime", text, is_permanent=True) from error
