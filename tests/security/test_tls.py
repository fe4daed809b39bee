"""The daemon and TLS: a server without a verified certificate gets no data, and one line says why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from subscriber.errors import ConfigurationError, ExitCode
from subscriber.settings.table import Settings
from testkit.daemon import DaemonProcess, daemon_process
from tests.adapters.postgres.tls_proxy import SSL_REQUEST, TlsProxy
from tests.e2e.environment import RunContext, put_body
from tests.security.tls_servers import ca_file_of, tls_proxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A CA that is not trusted by default."""
    return trustme.CA()


@pytest.fixture
async def encrypted_url(context: RunContext, authority: trustme.CA) -> AsyncIterator[str]:
    """The database URL through a TLS proxy with the name localhost."""
    parts = urlsplit(context.database_url)
    proxy = TlsProxy(parts.hostname or "", parts.port or 0, authority)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield parts._replace(netloc=f"{parts.username}:{parts.password}@localhost:{port}").geturl()
    server.close()


async def output_of(daemon: DaemonProcess) -> tuple[int, list[str]]:
    """The exit code and the plain-text lines of the daemon."""
    code = await asyncio.to_thread(daemon.wait)
    return code, [line["text"] for line in daemon.log if "text" in line]


async def test_a_database_with_an_untrusted_certificate_is_rejected(context: RunContext, encrypted_url: str) -> None:
    """Exit code 3, and one line that says what to check."""
    with context.daemon(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full") as daemon:
        code, lines = await output_of(daemon)
    assert code == ExitCode.DATABASE
    (line,) = lines
    assert line.startswith("subscriber: database: certificate: localhost:")
    assert "set SUBSCRIBER_DATABASE_CA_FILE to" in line


async def test_a_database_with_a_trusted_certificate_is_used(
    context: RunContext, encrypted_url: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """With SUBSCRIBER_DATABASE_CA_FILE migrations and rows go over TLS."""
    ca_file = ca_file_of(authority, tmp_path)
    with context.daemon(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full", DATABASE_CA_FILE=ca_file) as daemon:
        context.send([put_body("a.txt")])
        await context.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await context.fetch("SELECT FROM objects")) == 1


async def test_a_database_without_tls_is_rejected(context: RunContext) -> None:
    """Nothing is sent after the rejection, especially no password: an attacker could have sent it."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(8))
        writer.write(b"N")
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://writer:not-for-you@localhost:{port}/lake"
    with context.daemon(DATABASE_URL=url, DATABASE_TLS="verify-full") as daemon:
        code, lines = await output_of(daemon)
    server.close()
    assert code == ExitCode.DATABASE
    (line,) = lines
    assert line.startswith("subscriber: database: does not support TLS, but SUBSCRIBER_DATABASE_TLS requires it")
    assert set(received) == {SSL_REQUEST, b""}


async def test_a_queue_with_an_untrusted_certificate_is_rejected(context: RunContext, authority: trustme.CA) -> None:
    """Exit code 4, and the line says that the certificate was not verified; no message is received."""
    parts = urlsplit(context.endpoint_url)
    async with tls_proxy(authority, parts.hostname or "", parts.port or 0) as port:
        environment = context.environment() | {"AWS_ENDPOINT_URL_SQS": f"https://localhost:{port}"}
        with daemon_process(environment, "--migrate") as daemon:
            code, lines = await output_of(daemon)
    assert code == ExitCode.QUEUE
    (line,) = lines
    assert "certificate verify failed" in line


async def test_a_queue_with_a_trusted_certificate_is_read(
    context: RunContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """With AWS_CA_BUNDLE both clients trust it: our JSON client and aiobotocore's."""
    parts = urlsplit(context.endpoint_url)
    async with tls_proxy(authority, parts.hostname or "", parts.port or 0) as port:
        environment = context.environment() | {
            "AWS_ENDPOINT_URL_SQS": f"https://localhost:{port}",
            "AWS_CA_BUNDLE": str(ca_file_of(authority, tmp_path)),
        }
        with daemon_process(environment, "--migrate") as daemon:
            context.send([put_body("a.txt")])
            await context.until_empty()
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await context.fetch("SELECT FROM objects")) == 1


@pytest.mark.parametrize("host", ["index.example", "10.1.2.3", "localhost.example", "127.0.0.1.example", "a,localhost"])
def test_tls_is_the_default_for_every_other_host(host: str) -> None:
    """The default is verify-full for every host except this machine."""
    settings = Settings.from_environment(
        {
            "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/1/q",
            "SUBSCRIBER_DATABASE_URL": f"postgresql://u:p@{host}/d",
        }
    )
    assert settings.database_tls == "verify-full"


@pytest.mark.parametrize("parameter", ["sslmode=disable", "sslmode=require", "sslrootcert=x", "ssl=off", "sslkey=x"])
def test_a_url_cannot_weaken_tls(parameter: str) -> None:
    """TLS parameters in the URL are rejected, neither applied nor ignored."""
    with pytest.raises(ConfigurationError, match="must not configure TLS"):
        Settings.from_environment(
            {
                "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/1/q",
                "SUBSCRIBER_DATABASE_URL": f"postgresql://u:p@index.example/d?{parameter}",
            }
        )


async def test_the_environment_cannot_weaken_tls(context: RunContext, encrypted_url: str) -> None:
    """PGSSLMODE, which libpq and the driver use, has no effect."""
    environment = context.environment(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full")
    with daemon_process(environment | {"PGSSLMODE": "disable", "PGSSLROOTCERT": os.devnull}) as daemon:
        code, lines = await output_of(daemon)
    assert code == ExitCode.DATABASE
    assert "certificate" in lines[0]
