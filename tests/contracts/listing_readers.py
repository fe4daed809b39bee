"""What reads a listing to its end. A reader of another kind is one more row of READERS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import pytest

from subscriber.adapters.s3 import client
from subscriber.adapters.s3.chain import Operation
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.flow.request_budget import RequestLimits
from subscriber.model import KeyRange, ListedVersion
from testkit.s3.raw_client import RawS3
from tests.contracts.listing_contract import OBJECTS, VERSIONS
from tests.fixtures.aws import session_with_cached_models

Reader: TypeAlias = Callable[[str, str, bool], Awaitable[list[ListedVersion]]]
"""From the endpoint's URL, the bucket and whether versions are listed, to all entries, key by key, the newest first."""


_LIMITS: Final = RequestLimits(at_once=1, per_second=10_000.0)
_ENVIRONMENT: Final = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What each of the servers accepts."""


async def read_by_raw_client(endpoint_url: str, bucket: str, is_versions: bool) -> list[ListedVersion]:
    """Page by page, over one connection."""

    def read() -> list[ListedVersion]:
        with RawS3(endpoint_url) as client:
            pages = client.pages(bucket, VERSIONS if is_versions else OBJECTS)
            return [entry for page in pages for entry in page.entries]

    return await asyncio.to_thread(read)


async def read_by_lister(endpoint_url: str, bucket: str, is_versions: bool) -> list[ListedVersion]:
    """By the lister that backfill and reconcile use, over connections of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, text in _ENVIRONMENT.items():
            patch.setenv(name, text)
        patch.setenv("AWS_ENDPOINT_URL_S3", endpoint_url)
        patch.setattr(client, "session_with_region", session_with_cached_models)
        operation: Operation = "ListObjectVersions" if is_versions else "ListObjectsV2"
        async with BucketLister(ListerOptions(BucketOptions(bucket), operation, limits=_LIMITS)) as lister:
            return [entry async for page in lister.pages(KeyRange()) for entry in page]


READERS: Final[dict[str, Reader]] = {"raw": read_by_raw_client, "lister": read_by_lister}
