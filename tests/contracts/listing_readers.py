"""What reads a listing to its end. A reader of another kind is one more row of READERS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from subscriber.model import ListedVersion
from testkit.s3.raw_client import RawS3
from tests.contracts.listing_contract import OBJECTS, VERSIONS

Reader: TypeAlias = Callable[[str, str, bool], Awaitable[list[ListedVersion]]]
"""From the endpoint's URL, the bucket and whether versions are listed, to all entries, key by key, the newest first."""


async def read_by_raw_client(endpoint_url: str, bucket: str, is_versions: bool) -> list[ListedVersion]:
    """Page by page, over one connection."""

    def read() -> list[ListedVersion]:
        with RawS3(endpoint_url) as client:
            pages = client.pages(bucket, VERSIONS if is_versions else OBJECTS)
            return [entry for page in pages for entry in page.entries]

    return await asyncio.to_thread(read)


READERS: Final[dict[str, Reader]] = {"raw": read_by_raw_client}
