"""TLS to the database: the server proves who it is, or there is no connection.

The lab's PostgreSQL is built without TLS, so a small front terminates it. Its certificate is made for the run, by an
authority of the run's own, for `localhost` alone.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trustme

from subscriber.edge.postgres import PostgresStore
from subscriber.edge.postgres_connection import StoreOptions
from subscriber.errors import StoreError, Treatment
from tests.edge.object_rows import row

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL, "Message Formats": length 8 and the code 80877103."""


class TlsFront:
    """Takes what a client says under TLS to a server that knows no TLS."""

    def __init__(self, host: str, port: int, authority: trustme.CA) -> None:
        self._behind = (host, port)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self.encrypted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side leaves."""
        try:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner_reader, inner_writer = await asyncio.open_connection(*self._behind)
            await asyncio.wait(
                [
                    asyncio.create_task(_copy(reader, inner_writer), name="to the server"),
                    asyncio.create_task(_copy(inner_reader, writer), name="to the client"),
                ]
            )
        except OSError:
            pass  # the client did not like the certificate
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def _front(
    options: StoreOptions, host: str, authority: trustme.CA, ca_file: Path | None
) -> AsyncIterator[tuple[PostgresStore, TlsFront]]:
    """A store which goes through the front under the name `host`."""
    found = re.search(r"@([^@:/]+):(\d+)/", options.url)
    assert found is not None
    front = TlsFront(found[1], int(found[2]), authority)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = options.url.replace(found[0], f"@{host}:{port}/")
    store = PostgresStore(msgspec.structs.replace(options, url=url, tls="verify-full", ca_file=ca_file))
    try:
        yield store, front
    finally:
        await store.close()
        server.close()
        await server.wait_closed()


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
