"""Answers to a login that no server of the tests gives: by a server that sends one error and closes."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions, connect
from subscriber.adapters.postgres.failures import connect_error
from subscriber.errors import ConfigurationError, StoreError, Treatment


@asynccontextmanager
async def answering(sqlstate: str, text: str) -> AsyncIterator[StoreOptions]:
    """Options for a server that answers every startup message with this error."""
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", text))
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield StoreOptions(url=f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/lake", tls="disable")


@pytest.mark.parametrize(
    ("sqlstate", "text", "treatment", "word"),
    [
        ("0A000", "RDS Proxy currently doesn\u2019t support the option jit", Treatment.STOP, "pooler"),
        ("0A000", "setting configuration parameter jit not supported", Treatment.STOP, "unsupported_setting"),
        ("08P01", "unsupported startup parameter: jit", Treatment.STOP, "pooler"),
        ("08P01", "no such database: nowhere", Treatment.STOP, "no_database"),
        ("08P01", "no such user: ghost", Treatment.CREDENTIALS, "credentials"),
        ("08P01", "password authentication failed", Treatment.CREDENTIALS, "credentials"),
        (
            "08P01",
            "server login has been failing, try again later (server_login_retry)",
            Treatment.RECONNECT,
            "connection_lost",
        ),
        ("08P01", "client_login_timeout (server down)", Treatment.RECONNECT, "connection_lost"),
        ("08P01", "no more connections allowed (max_client_conn)", Treatment.RECONNECT, "connection_lost"),
        ("42601", "invalid command-line argument for server process: project=x", Treatment.STOP, "driver"),
        ("42501", "permission denied for database lake", Treatment.STOP, "no_privilege"),
        ("22023", "invalid value for parameter", Treatment.STOP, "driver"),
    ],
)
async def test_an_answer_to_a_login(sqlstate: str, text: str, treatment: Treatment, word: str) -> None:
    """Poolers have codes of their own; a syntax error before any statement is one of the URL's parameters."""
    async with answering(sqlstate, text) as options:
        with pytest.raises(StoreError) as caught:
            await connect(options, None)
    assert (caught.value.treatment, caught.value.word, caught.value.sqlstate) == (treatment, word, sqlstate)
    assert caught.value.detail.endswith(f": {text}")


@pytest.mark.parametrize("error", [KeyError("uid not found: 10001"), OSError("No username set in the environment")])
async def test_a_url_without_a_user(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The process's user id has no name, as in the image: one sentence, and no traceback of the driver."""

    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    monkeypatch.delenv("PGUSER", raising=False)
    with pytest.raises(ConfigurationError, match=r"^SUBSCRIBER_DATABASE_URL names no user, .*: add user@$"):
        await connect(StoreOptions(url="postgresql://127.0.0.1:1/lake", tls="disable"), None)
    monkeypatch.setenv("PGUSER", "writer")
    with pytest.raises(StoreError):
        await connect(StoreOptions(url="postgresql://127.0.0.1:1/lake", tls="disable"), None)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("lake.proxy-abc123.eu-west-1.rds.amazonaws.com:5432", "pooler"),
        ("lake.abc123.eu-west-1.rds.amazonaws.com:5432", "unsupported_setting"),
        ("lake-proxy.example:5432", "unsupported_setting"),
    ],
)
def test_a_host_that_is_an_rds_proxy(where: str, word: str) -> None:
    """Its name says so, whatever the words of its answer."""
    answer = asyncpg.FeatureNotSupportedError("this option is not supported")
    assert connect_error(answer, where).word == word
