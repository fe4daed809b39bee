"""Names with several addresses, and the certificate of a name: on the event loops of tests and daemon."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme

from subscriber.adapters.postgres.connection import StoreOptions, connect, tls_context
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from tests.adapters.postgres.test_hosts import at, port_of
from tests.adapters.postgres.tls_proxy import tls_proxy


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, addresses: list[str]) -> None:
    """Let a name have these addresses, in the running loop."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def look_up(host: str | None, port: int, **options: Any) -> Any:
        if host != name:
            return await real(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)


async def test_a_silent_first_address(migrated: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with two addresses the second one is reached within one probe."""
    port = port_of(migrated.url)
    with socket.create_server(("127.0.0.2", port)):
        resolve(monkeypatch, "writer.test", ["127.0.0.2", "127.0.0.1"])
        store = PostgresStore(at(migrated, f"writer.test:{port}"))
        await store.ping()
        await store.close()


@pytest.mark.parametrize(("name", "outcome"), [("localhost", "connected"), ("other.test", "certificate")])
async def test_the_certificate_must_have_the_name(
    migrated: StoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, outcome: str
) -> None:
    """Though the connection goes to an address, the certificate must have the name in the URL."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    resolve(monkeypatch, name, ["127.0.0.2", "127.0.0.1"])
    async with tls_proxy(migrated.url, authority) as (port, proxy):
        options = at(migrated, f"{name}:{port}", tls="verify-full", ca_file=tmp_path / "ca.pem")
        found = "connected"
        try:
            await (await connect(options, tls_context(options))).close()
        except StoreError as error:
            found = error.word
        assert (found, proxy.encrypted) == (outcome, int(outcome == "connected"))
