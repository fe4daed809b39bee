"""Whole objects of buckets: read part by part in bounded memory, written by one request.

A connection of this project gives whole answers, so an object is read by ranges of PART_BYTES. Each part after the
first asks for the object that the first one was of (`If-Match`): an object that is replaced meanwhile is an error, and
never a mixture of both.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import msgspec

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.s3.attempts import Attempts
from subscriber.adapters.s3.client import BucketClient, BucketOptions
from subscriber.errors import ListingError
from subscriber.flow.request_budget import RequestLimits

PART_BYTES: Final = 4 * 1024 * 1024
"""Of one request: a file of 2 GB takes 512 of them, $0.0002 in us-east-1; two copies of a part are held at once."""
OBJECT_BYTES_AT_MOST: Final = 64 * 1024 * 1024
"""Of an object that is written: our own limit, far below the 5 GB of one PutObject (API reference)."""
OBJECT_LIMITS: Final = RequestLimits(at_once=16, per_second=100.0)
TIMEOUT_SECONDS: Final = 60.0
"""For one request."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_PARTIAL = 206


class _Part(msgspec.Struct, frozen=True):
    """Some bytes of an object in order."""

    content: bytes
    total_bytes: int
    """Of the object."""
    etag: str
    """With its quotes; empty where the server names none."""


class Buckets:
    """Clients of the buckets that are asked, opened by the first request to each."""

    def __init__(self, template: BucketOptions, limits: RequestLimits) -> None:
        self._template = template
        self._limits = limits
        self._open = AsyncExitStack()
        self._clients: dict[str, BucketClient] = {}
        self._attempts: dict[str, Attempts] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def requests(self) -> int:
        """Requests started so far, failed ones included."""
        return sum(sum(attempts.requests.values()) for attempts in self._attempts.values())

    async def bucket(self, name: str) -> tuple[BucketClient, Attempts]:
        """The client of a bucket and its attempts; raises as BucketClient does."""
        if name not in self._clients:
            options = msgspec.structs.replace(self._template, bucket=name, timeout_seconds=TIMEOUT_SECONDS)
            client = await self._open.enter_async_context(BucketClient(options, self._limits.at_once))
            # Whoever comes second while the first one opens opens another one, which is closed with all.
            self._clients.setdefault(name, client)
            self._attempts.setdefault(name, Attempts(name, self._limits))
        return self._clients[name], self._attempts[name]


class S3ObjectReader(Buckets):
    """An async context that reads objects of any bucket; an ObjectReader of inventories.

    Args:
        template: how buckets are asked, whatever its own bucket.
        limits: of the requests to each bucket.
        part_bytes: of one request.
    """

    def __init__(
        self,
        template: BucketOptions | None = None,
        limits: RequestLimits = OBJECT_LIMITS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        super().__init__(template or BucketOptions(""), limits)
        self._part_bytes = part_bytes

    async def read(self, bucket: str, key: str) -> AsyncGenerator[bytes, None]:
        """The object's bytes in parts, in order; each request is repeated as those of a listing are.

        Raises:
            ListingError: S3's code; `ObjectChanged` where the object was replaced meanwhile.
            ConfigurationError: AWS's settings cannot be used.
            QueueError: there are no credentials.
        """
        client, attempts = await self.bucket(bucket)
        done_bytes, etag = 0, ""
        while True:
            headers = {"range": f"bytes={done_bytes}-{done_bytes + self._part_bytes - 1}"}
            if etag:
                headers["if-match"] = etag
            try:
                part = await self._part(client, attempts, key, headers, done_bytes)
            except ListingError as error:
                if error.code == "InvalidRange" and done_bytes == 0:
                    return  # the object is empty: it has no byte 0
                raise explained(error, bucket, key) from error
            yield part.content
            done_bytes, etag = done_bytes + len(part.content), part.etag
            if done_bytes >= part.total_bytes:
                return

    @staticmethod
    async def _part(
        client: BucketClient, attempts: Attempts, key: str, headers: Mapping[str, str], first: int
    ) -> _Part:
        ask = functools.partial(client.get_object, key, headers)
        return await attempts.until_read("GetObject", ask, functools.partial(_part_of, first))


class S3ObjectWriter(Buckets):
    """An async context that writes objects of one bucket; an ObjectWriter of results.

    Args:
        options: the bucket.
        limits: of the requests.
    """

    def __init__(self, options: BucketOptions, limits: RequestLimits = OBJECT_LIMITS) -> None:
        super().__init__(options, limits)
        self._bucket = options.bucket

    async def write(self, key: str, body: bytes) -> None:
        """Create or replace the object, by one request that is repeated as those of a listing are.

        Raises:
            ListingError: S3's code, or `EntityTooLarge` for more than OBJECT_BYTES_AT_MOST.
            ConfigurationError: AWS's settings cannot be used.
            QueueError: there are no credentials.
        """
        if len(body) > OBJECT_BYTES_AT_MOST:
            sentence = f"{key!r} would have {len(body)} bytes, and at most {OBJECT_BYTES_AT_MOST} are written at once"
            raise ListingError("EntityTooLarge", sentence, is_permanent=True)
        client, attempts = await self.bucket(self._bucket)
        ask = functools.partial(client.put_object, key, body)
        try:
            await attempts.until_read("PutObject", ask, lambda _: None)
        except ListingError as error:
            raise explained(error, self._bucket, key) from error


def _part_of(first: int, response: HttpResponse) -> _Part:
    """The part that an answer has.

    Raises:
        ListingError: it is another part than was asked for, or shorter than it says.
    """
    content, etag = response.content, response.header("ETag")
    if response.status != _PARTIAL:
        if first:
            raise ListingError("InvalidRange", "the server ignores Range, so that parts do not fit", is_permanent=True)
        return _Part(content, len(content), etag)
    told = _CONTENT_RANGE.fullmatch(response.header("Content-Range"))
    if not content or told is None or int(told[1]) != first or int(told[2]) - first + 1 != len(content):
        raise ListingError("IncompleteBody", f"the part at byte {first} is told as {told and told[0]!r}: repeat")
    return _Part(content, int(told[3]), etag)


def explained(error: ListingError, bucket: str, key: str) -> ListingError:
    """The error with the object's name, and in words where its code says too little."""
    if error.code in {"PreconditionFailed", "Http412"}:
        sentence = f"s3://{bucket}/{key} was replaced while it was read: read it again from the beginning"
        return ListingError("ObjectChanged", sentence, is_permanent=True)
    return ListingError(
        error.code,
        f"s3://{bucket}/{key}: {error.detail}",
        is_permanent=error.is_permanent,
        retry_after_seconds=error.retry_after_seconds,
    )
