"""TLS to the database: the server proves who it is, or there is no connection.

The lab's PostgreSQL is built without TLS, so a small front terminates it. Its certificate is made for the run, by an
authority of the run's own, for `localhost` alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trustme

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.tls_proxy import TlsFront, tls_front


@asynccontextmanager
async def _front(
    options: StoreOptions, host: str, authority: trustme.CA, ca_file: Path | None
) -> AsyncIterator[tuple[PostgresStore, TlsFront]]:
    """A store which goes through the front under the name `host`."""
    async with tls_front(options.url, authority) as (port, front):
        url = re.sub(r"@[^@/]+/", f"@{host}:{port}/", options.url)
        store = PostgresStore(msgspec.structs.replace(options, url=url, tls="verify-full", ca_file=ca_file))
        try:
            yield store, front
        finally:
            await store.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the front's certificate."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's own certificate, as an operator would name it."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def test_a_verified_server_is_written_to(migrated: StoreOptions, authority: trustme.CA, ca_file: Path) -> None:
    """With a certificate of the given authority and of the right name, rows go through TLS."""
    async with _front(migrated, "localhost", authority, ca_file) as (store, front):
        assert await store.store([row()]) == 1
        assert front.encrypted == 1


@pytest.mark.parametrize(
    ("host", "authority_is_known"),
    [
        pytest.param("localhost", False, id="an authority nobody knows"),
        pytest.param("127.0.0.1", True, id="a name that is another's"),
    ],
)
async def test_an_unverified_server_is_not(
    migrated: StoreOptions, authority: trustme.CA, ca_file: Path, host: str, *, authority_is_known: bool
) -> None:
    """Unknown authority or wrong name: no connection, and the operator is told, because waiting mends nothing."""
    async with _front(migrated, host, authority, ca_file if authority_is_known else None) as (store, _):
        with pytest.raises(StoreError) as caught:
            await store.store([row()])
    assert (caught.value.treatment, caught.value.word) == (Treatment.STOP, "certificate")
