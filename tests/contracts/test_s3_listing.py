"""The listing server does what S3 does; LocalStack, ministack and moto do so but for what is listed."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from testkit.s3.raw_client import RawS3
from tests.contracts import listing_contracts, page_contracts
from tests.contracts.listing_contract import contracts_of, put, set_versioning
from tests.contracts.listing_differences import DIFFERENCES
from tests.contracts.listing_readers import READERS

_names = itertools.count()


CONTRACTS = contracts_of(listing_contracts, page_contracts)


@pytest.mark.parametrize("server", DIFFERENCES)
@pytest.mark.parametrize("name", CONTRACTS)
def test_listing(name: str, server: str, s3_client: RawS3) -> None:
    """The server answers as S3 does, or as its known difference says."""
    given = CONTRACTS[name]
    assert given.observe(s3_client, f"contract-{next(_names)}") == DIFFERENCES[server].get(name, given.expected)


@pytest.mark.parametrize("server", DIFFERENCES)
def test_every_difference_is_one(server: str) -> None:
    """A difference belongs to a contract and is not what S3 answers; our own server has none."""
    for name, seen in DIFFERENCES[server].items():
        assert seen != CONTRACTS[name].expected
    assert server != "local" or not DIFFERENCES[server]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("server", DIFFERENCES)
async def test_plain_versions_are_read_at_every_server(reader: str, server: str, s3_client: RawS3) -> None:
    """One page of plain keys with two versions each is the same everywhere."""
    name = f"plain-{next(_names)}"
    ids = await asyncio.to_thread(_fill_with_plain_keys, s3_client, name)
    read = await READERS[reader](s3_client.endpoint_url, name, True)
    assert [(entry.key, entry.version_id, entry.is_latest, entry.size_bytes) for entry in read] == ids


def _fill_with_plain_keys(client: RawS3, bucket: str) -> list[tuple[str, str, bool, int]]:
    client.call("PUT", bucket)
    set_versioning(client, bucket, "Enabled")
    expected: list[tuple[str, str, bool, int]] = []
    for key in ("data/part-00000.parquet", "data/part-00001.parquet", "readme"):
        older, newer = put(client, bucket, key, key)
        expected += [(key, newer, True, len(key)), (key, older, False, len(key))]
    return expected
