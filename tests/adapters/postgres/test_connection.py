"""One connection: session settings, TCP keepalive, logins and TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, tls_context
from subscriber.adapters.postgres.login import Login
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import ConfigurationError, StoreError, Treatment
from testkit.postgres.postgres import LocalPostgres


@asynccontextmanager
async def _connected(options: StoreOptions, **changes: Any) -> AsyncIterator[Connection]:
    connection = await connect(msgspec.structs.replace(options, **changes), None)
    try:
        yield connection
    finally:
        await connection.close()


def _socket_of(connection: Connection) -> Any:
    return connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # asyncpg has no public access to it


async def _keepalive(options: StoreOptions) -> tuple[int, ...]:
    async with _connected(options) as connection:
        wire = _socket_of(connection)
        tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        values = [wire.getsockopt(socket.IPPROTO_TCP, option) for option in tcp]
        return (wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *values)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a platform without these options")
def test_tcp_keepalive_is_set(postgres_url: str) -> None:
    """A dead peer is detected within ten seconds, idle or while sending, on the event loop that we use."""
    options = StoreOptions(url=postgres_url, tls="disable")
    found = uvloop.run(_keepalive(options))
    assert (bool(found[0]), *found[1:]) == (True, 5, 1, 5, 10_000)


async def test_commits_are_synchronous(store_options: StoreOptions, postgres_url: str) -> None:
    """Commits wait for the disk even if the defaults of the database, or the URL, differ."""
    url = f"{postgres_url}?synchronous_commit=off&default_transaction_isolation=serializable"
    async with _connected(store_options, url=url, application_name="subscriber-7") as connection:
        names = ["synchronous_commit", "transaction_isolation", "jit", "TimeZone", "application_name"]
        found = [await connection.fetchval(f"SHOW {name}") for name in names]
    assert found == ["on", "read committed", "off", "UTC", "subscriber-7"]


@pytest.mark.parametrize(("ours", "servers"), [(30.0, "29s"), (1.0, "900ms")])
async def test_the_server_times_out_first(store_options: StoreOptions, ours: float, servers: str) -> None:
    """The server's statement timeout is a little shorter than ours, so that a slow statement has a known outcome."""
    async with _connected(store_options, write_timeout_seconds=ours) as connection:
        assert await connection.fetchval("SHOW statement_timeout") == servers


async def test_a_socket_directory_may_be_the_host(postgres_server: LocalPostgres) -> None:
    """The connection uses the Unix socket, which is never encrypted, even if TLS is required."""
    options = StoreOptions(url=postgres_server.socket_url, tls="verify-full")
    connection = await connect(options, tls_context(options))
    assert _socket_of(connection).family == socket.AF_UNIX
    assert await connection.fetchval("SELECT inet_client_addr()") is None
    await connection.close()


async def test_client_parameters_are_not_sent_to_the_server(store_options: StoreOptions) -> None:
    """Client-side parameters of a libpq URL are not sent to the server, which would reject them."""
    url = (
        f"{store_options.url}?connect_timeout=3&keepalives=1&keepalives_idle=9&lock_timeout=77"
        "&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=1&gssencmode=disable"
    )
    async with _connected(store_options, url=url) as connection:
        assert await connection.fetchval("SHOW lock_timeout") == "77ms"


class _Logins:
    """Returns the passwords in turn, and records the number of rejected logins of each call."""

    def __init__(self, *passwords: str) -> None:
        self._passwords = passwords
        self.calls: list[int] = []

    async def login(self, rejected: Sequence[Login]) -> Login | None:
        self.calls.append(len(rejected))
        return Login(self._passwords[len(rejected)]) if len(rejected) < len(self._passwords) else None


def _without_password(options: StoreOptions, logins: _Logins) -> tuple[StoreOptions, str]:
    login, _, address = options.url.rpartition("@")
    nameless = msgspec.structs.replace(options, url=f"postgresql://postgres@{address}", logins=logins)
    return nameless, login.rpartition(":")[2]


async def test_every_connection_fetches_a_login(store_options: StoreOptions) -> None:
    """Every new connection calls the source, so a token is never older than its connection."""
    _, password = _without_password(store_options, _Logins())
    logins = _Logins(password)
    options, _ = _without_password(store_options, logins)
    for _ in range(2):
        await (await connect(options, None)).close()
    assert logins.calls == [0, 0]


async def test_the_next_login_is_tried(store_options: StoreOptions) -> None:
    """If the server rejects a password and the source has another, the caller sees no failure."""
    _, password = _without_password(store_options, _Logins())
    logins = _Logins("stale", password)
    options, _ = _without_password(store_options, logins)
    await (await connect(options, None)).close()
    assert logins.calls == [0, 1]


async def test_the_number_of_logins_is_limited(store_options: StoreOptions) -> None:
    """A source with endless wrong passwords is called a few times; the error is that of the server."""
    logins = _Logins(*map(str, range(100)))
    options, _ = _without_password(store_options, logins)
    with pytest.raises(StoreError) as caught:
        await connect(options, None)
    assert (caught.value.treatment, caught.value.sqlstate) == (Treatment.CREDENTIALS, "28P01")
    assert len(logins.calls) < 10


@pytest.mark.parametrize("url", ["postgresql://u:secret@h:port/", "postgresql://u:secret@h/?a", "postgresql://[/"])
async def test_an_invalid_url(url: str) -> None:
    """An invalid URL is a configuration error whose text does not contain the password."""
    with pytest.raises(ConfigurationError) as caught:
        await connect(StoreOptions(url=url), None)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_password_is_not_shown(store_options: StoreOptions) -> None:
    """A repr may appear in tracebacks and logs, so it has neither URL nor password."""
    password = store_options.url.rpartition("@")[0].rpartition(":")[2]
    assert password not in repr(store_options)
    assert password not in str(store_options)


def test_tls_verifies_certificate_and_name() -> None:
    """TLS verifies certificate and host name, or is off."""
    options = StoreOptions(url="postgresql://db.test/")
    tls = tls_context(options)
    assert tls is not None
    assert tls.context.verify_mode is ssl.CERT_REQUIRED
    assert tls.context.check_hostname
    assert tls_context(msgspec.structs.replace(options, tls="disable")) is None


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unusable_ca_file_is_a_configuration_error(tmp_path: Path, content: bytes | None) -> None:
    """A CA file that is missing or has no certificate is a configuration error."""
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem.* SUBSCRIBER_DATABASE_CA_FILE takes"):
        PostgresStore(StoreOptions(url="postgresql://db.test/", ca_file=ca_file))
