"""TLS to the database: without a verified certificate there is no connection.

The test PostgreSQL is built without TLS, so a proxy terminates it. A CA created for the run issues its certificate, for
`localhost` only.
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
from tests.adapters.postgres.tls_proxy import TlsProxy, tls_proxy


@asynccontextmanager
async def _store_through_proxy(
    options: StoreOptions, host: str, authority: trustme.CA, ca_file: Path | None
) -> AsyncIterator[tuple[PostgresStore, TlsProxy]]:
    """A store that connects through the TLS proxy with the host name `host`."""
    async with tls_proxy(options.url, authority) as (port, proxy):
        url = re.sub(r"@[^@/]+/", f"@{host}:{port}/", options.url)
        store = PostgresStore(msgspec.structs.replace(options, url=url, tls="verify-full", ca_file=ca_file))
        try:
            yield store, proxy
        finally:
            await store.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The CA of the proxy's certificate."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The CA file, as for SUBSCRIBER_DATABASE_CA_FILE."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def test_rows_are_written_over_verified_tls(migrated: StoreOptions, authority: trustme.CA, ca_file: Path) -> None:
    """With a certificate of the given CA for the right name, rows are written over TLS."""
    async with _store_through_proxy(migrated, "localhost", authority, ca_file) as (store, proxy):
        assert await store.store([row()]) == 1
        assert proxy.encrypted == 1


@pytest.mark.parametrize(
    ("host", "is_trusted"),
    [
        pytest.param("localhost", False, id="unknown CA"),
        pytest.param("127.0.0.1", True, id="wrong name"),
    ],
)
async def test_an_unverified_server_is_rejected(
    migrated: StoreOptions, authority: trustme.CA, ca_file: Path, host: str, *, is_trusted: bool
) -> None:
    """Unknown CA or wrong name: no connection, and the treatment is STOP, because a retry would not help."""
    async with _store_through_proxy(migrated, host, authority, ca_file if is_trusted else None) as (store, _):
        with pytest.raises(StoreError) as caught:
            await store.store([row()])
    assert (caught.value.treatment, caught.value.word) == (Treatment.STOP, "certificate")
