"""A page of a real server: hostile keys, versions and delete markers, as LocalStack lists them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.model import KeyRange, ListedVersion
from tests.fixtures.queues import OpenClient

KEYS = ["a b", "a+b", "a%2Bb", "a&<>\"'b", "é/😀", "tab\tand\nline", "000123", "~/../x"]


async def filled(s3: Any, bucket: str) -> dict[tuple[str, str], bool]:
    """A versioned bucket with two versions and a delete marker of every key: key and version id → is it a marker."""
    await s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = {}
    for key in KEYS:
        for _ in range(2):
            made[key, (await s3.put_object(Bucket=bucket, Key=key, Body=b"body"))["VersionId"]] = False
        made[key, (await s3.delete_object(Bucket=bucket, Key=key))["VersionId"]] = True
    return made


async def listed(operation: Any, bucket: str) -> list[ListedVersion]:
    """All entries of a bucket."""
    async with BucketLister(ListerOptions(BucketOptions(bucket), operation)) as lister:
        assert abs(await lister.server_time() - time.time()) < 60
        return [entry async for page in lister.pages(KeyRange()) for entry in page]


async def test_a_page_of_versions(
    aws_client: OpenClient, aws_environment: pytest.MonkeyPatch, localstack_url: str
) -> None:
    """Keys in the order of their bytes, each key's newest first, markers among the versions."""
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    async with aws_client("s3", localstack_url) as s3:
        made = await filled(s3, "hostile-versions")
    found = await listed("ListObjectVersions", "hostile-versions")
    assert {(entry.key, entry.version_id): entry.is_marker for entry in found} == made
    assert len(found) == len(made)
    assert [entry.key for entry in found] == sorted(entry.key for entry in found)
    assert [entry.is_marker for entry in found] == [True, False, False] * len(KEYS)
    assert [entry.is_latest for entry in found] == [True, False, False] * len(KEYS)
    shapes = {(entry.size_bytes, entry.etag, entry.storage_class) for entry in found if not entry.is_marker}
    assert shapes == {(4, "841a2d689ad86bd1611447453c22c6fc", "STANDARD")}


async def test_a_page_of_objects(
    aws_client: OpenClient, aws_environment: pytest.MonkeyPatch, localstack_url: str
) -> None:
    """A bucket without versioning has null versions."""
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    async with aws_client("s3", localstack_url) as s3:
        await s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key in KEYS:
            await s3.put_object(Bucket="plain", Key=key, Body=b"body")
    found = await listed("ListObjectsV2", "plain")
    expected = [(key, "", True) for key in sorted(KEYS)]
    assert [(entry.key, entry.version_id, entry.is_latest) for entry in found] == expected
    assert await listed("ListObjectVersions", "plain") == found
