"""The daemon and TLS: whoever cannot prove who he is gets nothing, and the operator one line that says why."""

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
from tests.adapters.postgres.tls_proxy import SSL_REQUEST, TlsFront
from tests.e2e.environment import RunContext, put_body
from tests.security.tls_servers import ca_file_of, tls_front


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs, and whom nobody knows unless told."""
    return trustme.CA()


@pytest.fixture
async def encrypted_url(scene: RunContext, authority: trustme.CA) -> AsyncIterator[str]:
    """The scene's database under the name localhost, behind a front that takes TLS alone."""
    parts = urlsplit(scene.database_url)
    front = TlsFront(parts.hostname or "", parts.port or 0, authority)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield parts._replace(netloc=f"{parts.username}:{parts.password}@localhost:{port}").geturl()
    server.close()


async def said_by(daemon: DaemonProcess) -> tuple[int, list[str]]:
    """Its exit code and its plain lines."""
    code = await asyncio.to_thread(daemon.wait)
    return code, [line["text"] for line in daemon.log if "text" in line]


async def test_a_database_with_a_certificate_of_nobody_is_refused(scene: RunContext, encrypted_url: str) -> None:
    """Exit 3, and one line: the certificate does not verify, and what to check."""
    with scene.daemon(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full") as daemon:
        code, said = await said_by(daemon)
    assert code == ExitCode.DATABASE
    (line,) = said
    assert "The server's certificate does not verify: check the CA file and host. (certificate: " in line


async def test_a_database_with_a_certificate_of_the_given_authority_is_used(
    scene: RunContext, encrypted_url: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """With SUBSCRIBER_DATABASE_CA_FILE rows go through TLS, migrations too."""
    ca_file = ca_file_of(authority, tmp_path)
    with scene.daemon(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full", DATABASE_CA_FILE=ca_file) as daemon:
        scene.send([put_body("a.txt")])
        await scene.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await scene.fetch("SELECT FROM objects")) == 1


async def test_a_database_that_says_no_to_tls_is_refused(scene: RunContext) -> None:
    """Nothing is sent after the no, least of all a password: whoever sits in between could have said it."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(8))
        writer.write(b"N")
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://writer:not-for-you@localhost:{port}/lake"
    with scene.daemon(DATABASE_URL=url, DATABASE_TLS="verify-full") as daemon:
        code, said = await said_by(daemon)
    server.close()
    assert code == ExitCode.DATABASE
    (line,) = said
    assert line.startswith("subscriber: The server answers that it speaks no TLS")
    assert set(heard) == {SSL_REQUEST, b""}


async def test_a_queue_with_a_certificate_of_nobody_is_refused(scene: RunContext, authority: trustme.CA) -> None:
    """Exit 4, and the line says that the certificate did not verify; no message was asked for."""
    parts = urlsplit(scene.endpoint_url)
    async with tls_front(authority, parts.hostname or "", parts.port or 0) as port:
        environment = scene.environment() | {"AWS_ENDPOINT_URL_SQS": f"https://localhost:{port}"}
        with daemon_process(environment, "--migrate") as daemon:
            code, said = await said_by(daemon)
    assert code == ExitCode.QUEUE
    (line,) = said
    assert "certificate verify failed" in line


async def test_a_queue_with_a_certificate_of_the_given_authority_is_read(
    scene: RunContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """With AWS_CA_BUNDLE, AWS's own variable, both clients verify by it: the thin one and aiobotocore's."""
    parts = urlsplit(scene.endpoint_url)
    async with tls_front(authority, parts.hostname or "", parts.port or 0) as port:
        environment = scene.environment() | {
            "AWS_ENDPOINT_URL_SQS": f"https://localhost:{port}",
            "AWS_CA_BUNDLE": str(ca_file_of(authority, tmp_path)),
        }
        with daemon_process(environment, "--migrate") as daemon:
            scene.send([put_body("a.txt")])
            await scene.until_empty()
            assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await scene.fetch("SELECT FROM objects")) == 1


@pytest.mark.parametrize("host", ["index.example", "10.1.2.3", "localhost.example", "127.0.0.1.example", "a,localhost"])
def test_no_host_but_this_one_goes_without_tls_unasked(host: str) -> None:
    """The default is verify-full wherever a word could leave the machine."""
    settings = Settings.from_environment(
        {
            "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/1/q",
            "SUBSCRIBER_DATABASE_URL": f"postgresql://u:p@{host}/d",
        }
    )
    assert settings.database_tls == "verify-full"


@pytest.mark.parametrize("parameter", ["sslmode=disable", "sslmode=require", "sslrootcert=x", "ssl=off", "sslkey=x"])
def test_a_url_cannot_weaken_tls(parameter: str) -> None:
    """What the URL says about TLS is refused, not obeyed and not ignored."""
    with pytest.raises(ConfigurationError, match="must not speak of TLS"):
        Settings.from_environment(
            {
                "SUBSCRIBER_QUEUE_URLS": "https://sqs.eu-west-1.amazonaws.com/1/q",
                "SUBSCRIBER_DATABASE_URL": f"postgresql://u:p@index.example/d?{parameter}",
            }
        )


async def test_the_environment_cannot_weaken_tls(scene: RunContext, encrypted_url: str) -> None:
    """Nor does PGSSLMODE, which libpq and the driver would listen to."""
    environment = scene.environment(DATABASE_URL=encrypted_url, DATABASE_TLS="verify-full")
    with daemon_process(environment | {"PGSSLMODE": "disable", "PGSSLROOTCERT": os.devnull}) as daemon:
        code, said = await said_by(daemon)
    assert code == ExitCode.DATABASE
    assert "certificate" in said[0]
