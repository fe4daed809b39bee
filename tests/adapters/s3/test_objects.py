"""Whole objects over real connections: parts, failures, replacements, and what is written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from subscriber.adapters.s3 import attempts as attempts_module
from subscriber.adapters.s3 import client as client_module
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.objects import OBJECT_BYTES_AT_MOST, S3ObjectReader, S3ObjectWriter
from subscriber.errors import ListingError
from subscriber.flow.backoff import Backoff
from testkit.s3 import Fault, ListingServer
from testkit.s3.faults import FaultKind
from testkit.s3.raw_client import RawS3
from tests.fixtures.aws import session_with_cached_models
from tests.fixtures.queues import OpenClient
from tests.fixtures.s3 import MakeBucket

BODY = bytes(range(256)) * 10
KEYS = ["a b", "a+b", "a%2Bb", "a//b", "é/😀", "~/../x", "a?b#c&d=e", "=", "/first"]


@pytest.fixture(autouse=True)
def quick(aws_environment: pytest.MonkeyPatch) -> None:
    """Retries come at once, and models are loaded once for all tests."""
    aws_environment.setattr(attempts_module, "BACKOFF", Backoff(first_seconds=0.0, max_seconds=0.0, jitter=0.0))
    aws_environment.setattr(client_module, "session_with_region", session_with_cached_models)


@pytest.fixture
def bucket(serve_bucket: MakeBucket, listing_server: ListingServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket without objects."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", listing_server.endpoint_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return serve_bucket().name


@pytest.fixture
async def reader() -> AsyncIterator[S3ObjectReader]:
    """It asks for a thousand bytes at a time."""
    async with S3ObjectReader(part_bytes=1000) as reader:
        yield reader


async def parts_of(reader: S3ObjectReader, bucket: str, key: str) -> list[bytes]:
    """The parts of an object."""
    return [part async for part in reader.read(bucket, key)]


@pytest.mark.parametrize("size_bytes", [0, 1, 999, 1000, 1001, 2000, 2560])
async def test_an_object_is_read_in_parts(bucket: str, reader: S3ObjectReader, size_bytes: int) -> None:
    """As many as its size needs, and no request more; an empty object has none."""
    async with S3ObjectWriter(BucketOptions(bucket)) as writer:
        await writer.write("key", BODY[:size_bytes])
    parts = await parts_of(reader, bucket, "key")
    assert parts == [BODY[start : min(start + 1000, size_bytes)] for start in range(0, size_bytes, 1000)]
    assert reader.requests == max(1, len(parts))


async def test_any_key_is_written_and_read(bucket: str, reader: S3ObjectReader) -> None:
    """Keys are encoded once and not normalized."""
    async with S3ObjectWriter(BucketOptions(bucket)) as writer:
        for key in KEYS:
            await writer.write(key, key.encode())
    assert [b"".join(await parts_of(reader, bucket, key)) for key in KEYS] == [key.encode() for key in KEYS]


@pytest.mark.parametrize("kind", ["slow_down", "internal_error", "truncated", "lost"])
async def test_a_failed_part_is_repeated(
    bucket: str, reader: S3ObjectReader, listing_server: ListingServer, raw_s3: RawS3, kind: FaultKind
) -> None:
    """What was read before stands; nothing is missing or twice."""
    raw_s3.call("PUT", f"{bucket}/key", body=BODY)
    fault = Fault(kind, requests=3, operation="GetObject", skip=1)
    listing_server.add_faults(fault)
    assert b"".join(await parts_of(reader, bucket, "key")) == BODY
    assert reader.requests == 6


async def test_a_replaced_object_is_an_error(bucket: str, reader: S3ObjectReader, raw_s3: RawS3) -> None:
    """The parts of two objects are never taken for one."""
    raw_s3.call("PUT", f"{bucket}/key", body=BODY)
    parts = reader.read(bucket, "key")
    assert await anext(parts) == BODY[:1000]
    raw_s3.call("PUT", f"{bucket}/key", body=BODY[::-1])
    with pytest.raises(
        ListingError, match=rf"^ObjectChanged: s3://{bucket}/key was replaced while it was read"
    ) as caught:
        await anext(parts)
    assert caught.value.is_permanent


async def test_a_missing_object_or_right_is_named(
    bucket: str, reader: S3ObjectReader, listing_server: ListingServer
) -> None:
    """With S3's code, the object, and what the role needs; without a second request."""
    with pytest.raises(ListingError, match=rf"^NoSuchKey: s3://{bucket}/gone: The specified key does not exist\.$"):
        await parts_of(reader, bucket, "gone")
    listing_server.add_faults(Fault("access_denied"))
    with pytest.raises(ListingError, match=rf"s3://{bucket}/key: Access Denied \(the role needs s3:GetObject on it"):
        await parts_of(reader, bucket, "key")
    listing_server.add_faults(Fault("access_denied"))
    async with S3ObjectWriter(BucketOptions(bucket)) as writer:
        with pytest.raises(ListingError, match="s3:PutObject"):
            await writer.write("key", b"")
        assert (reader.requests, writer.requests) == (2, 1)


@pytest.mark.parametrize("kind", ["slow_down", "internal_error", "lost"])
async def test_a_failed_write_is_repeated(
    bucket: str, reader: S3ObjectReader, listing_server: ListingServer, kind: FaultKind
) -> None:
    """An answer that was lost does not matter: the object is the same."""
    async with S3ObjectWriter(BucketOptions(bucket)) as writer:
        listing_server.add_faults(Fault(kind, requests=2, operation="PutObject"))
        await writer.write("key", BODY)
        assert writer.requests == 3
    assert b"".join(await parts_of(reader, bucket, "key")) == BODY


async def test_an_object_that_is_too_large_is_not_sent(bucket: str) -> None:
    """The limit is in the sentence."""
    async with S3ObjectWriter(BucketOptions(bucket)) as writer:
        with pytest.raises(ListingError, match="EntityTooLarge: 'key' would have 67108865 bytes"):
            await writer.write("key", bytes(OBJECT_BYTES_AT_MOST + 1))
        assert writer.requests == 0


async def test_objects_of_localstack(
    aws_client: OpenClient, aws_environment: pytest.MonkeyPatch, localstack_url: str, reader: S3ObjectReader
) -> None:
    """Another server takes and gives the same: parts, an empty object, hostile keys, a replacement."""
    variables = {"ENDPOINT_URL": localstack_url, "REGION": "eu-west-1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "a"}
    for name, value in variables.items():
        aws_environment.setenv(f"AWS_{name}", value)
    async with aws_client("s3", localstack_url) as s3, S3ObjectWriter(BucketOptions("objects")) as writer:
        await s3.create_bucket(Bucket="objects", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key in ["a b", "a+b", "a%2Bb", "é/😀", "=", "a//b"]:
            await writer.write(key, BODY)
            assert b"".join(await parts_of(reader, "objects", key)) == BODY
        await writer.write("empty", b"")
        assert await parts_of(reader, "objects", "empty") == []
        parts = reader.read("objects", "=")
        await anext(parts)
        await writer.write("=", BODY[::-1])
        with pytest.raises(ListingError, match="ObjectChanged"):
            await anext(parts)
