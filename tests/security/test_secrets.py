"""No secret leaves the daemon by log, metric, page, process title or database session, also after failures."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from subscriber.errors import ExitCode
from subscriber.observe.log import external_secrets
from testkit.daemon import DaemonProcess, daemon_process
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import RunContext, put_body, until
from tests.e2e.test_control import control

TOKEN = "control-token-2f81c0"
SECRET_KEY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY01"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE/session+token=="
WRONG_PASSWORD = "correct%20horse%2Fbattery"
DECODED_PASSWORD = "correct horse/battery"
PAGES = ("/", "/livez", "/readyz", "/metrics", "/control", "/nowhere")


def assert_no_secret(output: str, *secrets: str) -> None:
    """The output is not empty and contains none of the secrets."""
    assert len(output) > 100
    assert [secret for secret in secrets if secret in output] == []


def visible_output(daemon: DaemonProcess) -> str:
    """Everything that the daemon shows: log, pages, and the process entries in /proc."""
    process = Path(f"/proc/{daemon.pid}")
    titles = [process.joinpath(name).read_bytes().decode(errors="replace") for name in ("cmdline", "comm", "status")]
    pages = [daemon.page(path)[1] for path in PAGES]
    return json.dumps([daemon.log, pages, titles])


async def test_load_and_outage_show_no_secret(context: RunContext, postgres_server: LocalPostgres) -> None:
    """During start, load, rejected commands, an outage and the stop, with log level debug."""
    password = postgres_server.password
    with context.daemon(DATABASE_URL=postgres_server.url, CONTROL_TOKEN=TOKEN, LOG_LEVEL="debug") as daemon:
        context.send(put_body(f"{number}.txt") for number in range(50))
        await context.until_empty()
        answers = [await control(daemon, word, token=TOKEN) for word in ("status", "pause", "resume")]
        answers.append(await control(daemon, "pause", token="another-token"))
        output = [visible_output(daemon), await _sessions(postgres_server.url)]
        postgres_server.stop("immediate")
        context.send([put_body("later.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        output.append(visible_output(daemon))
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "database.available")
        await context.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        output += [str(daemon.log), *(answer.out + answer.err for answer in answers)]
    assert_no_secret(json.dumps(output), password, TOKEN)


async def _sessions(url: str) -> str:
    """The sessions in pg_stat_activity."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        rows = await connection.fetch("SELECT application_name, query FROM pg_stat_activity")
    finally:
        await connection.close()
    assert "subscriber" in {row["application_name"] for row in rows}
    return str(rows)


async def test_a_wrong_password(context: RunContext) -> None:
    """Neither percent-encoded, as in the URL, nor decoded."""
    parts = urlsplit(context.database_url)
    url = parts._replace(netloc=f"postgres:{WRONG_PASSWORD}@{parts.hostname}:{parts.port}").geturl()
    with context.daemon(DATABASE_URL=url, LOG_LEVEL="debug", LOG_FORMAT="console") as daemon:
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DATABASE
        assert_no_secret(str(daemon.log), WRONG_PASSWORD, DECODED_PASSWORD)


@asynccontextmanager
async def _queue_that_repeats_requests() -> AsyncIterator[int]:
    """Rejects every signature with a message that repeats the request, as AWS does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            sentence = "The request signature we calculated does not match the signature you provided."
            message = f"{sentence}\n\nThe Canonical String for this request should have been\n'{head}'"
            body = json.dumps({"__type": "SignatureDoesNotMatch", "message": message}).encode()
            lines = ["HTTP/1.1 403 Forbidden", "Content-Type: application/x-amz-json-1.0", "Connection: close"]
            lines += [f"Content-Length: {len(body)}", "x-amzn-query-error: SignatureDoesNotMatch;Sender", "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has disconnected
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_queue_that_repeats_the_session_token(context: RunContext) -> None:
    """AWS's message repeats the signed request with the token; the daemon logs only its first line."""
    async with _queue_that_repeats_requests() as port:
        environment = context.environment(LOG_LEVEL="debug") | {
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}",
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": SESSION_TOKEN,
        }
        with daemon_process(environment) as daemon:
            assert await asyncio.to_thread(daemon.wait) == ExitCode.QUEUE
            output = str(daemon.log)
    assert "SignatureDoesNotMatch" in output
    assert "Canonical" not in output
    assert_no_secret(output, SECRET_KEY, SESSION_TOKEN)


_BROKEN = """
import os, sys
from subscriber.check import run as check
from subscriber.cli.main import main as cli
from subscriber import app
from subscriber.quarantine import commands as quarantine
def broken(*_, **__):
    names = "SUBSCRIBER_DATABASE_URL", "SUBSCRIBER_CONTROL_TOKEN", "AWS_SESSION_TOKEN"
    secrets = [os.environ[name] for name in names]
    raise RuntimeError(f"{secrets} {_!r}")
app.Daemon.run = lambda daemon, **_: broken(daemon._settings)
check.check = quarantine.counts = broken
cli.main()
"""


@pytest.mark.parametrize("command", [("run",), ("check",), ("quarantine", "list")])
def test_a_traceback(context: RunContext, command: tuple[str, ...]) -> None:
    """An internal error whose text contains every secret gives a traceback without them, in every command."""
    environment = context.environment(CONTROL_TOKEN=TOKEN) | {"AWS_SESSION_TOKEN": SESSION_TOKEN}
    password = urlsplit(context.database_url).password or ""
    done = subprocess.run(
        [sys.executable, "-c", _BROKEN, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == ExitCode.FAILED
    output = done.stdout + done.stderr
    assert "RuntimeError" in output
    assert_no_secret(output, TOKEN, SESSION_TOKEN, password)


async def test_pages_show_no_setting(context: RunContext) -> None:
    """Pages show the state of the pipeline, not the environment of the process."""
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await until(lambda: daemon.page("/readyz")[0] == 200)
        pages = str([daemon.page(path) for path in PAGES])
        assert_no_secret(pages, context.database_url, context.schema, TOKEN)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD"])
def test_secrets_of_libraries_are_redacted(name: str) -> None:
    """The log redacts them although they are no settings of ours; values too short to be secrets are left alone."""
    assert external_secrets({name: SECRET_KEY, "AWS_REGION": "eu-central-1"}) == (SECRET_KEY,)
    assert external_secrets({name: "local"}) == ()
