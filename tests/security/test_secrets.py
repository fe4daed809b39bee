"""No secret comes out of the daemon: not by log, metric, page, process title or session, at work or in trouble."""

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
IN_PLAIN = "correct horse/battery"
PAGES = ("/", "/livez", "/readyz", "/metrics", "/control", "/nowhere")


def assert_silent(heard: str, *secrets: str) -> None:
    """None of the secrets is in what was heard, and something was heard."""
    assert len(heard) > 100
    assert [secret for secret in secrets if secret in heard] == []


def seen_from_outside(daemon: DaemonProcess) -> str:
    """Everything the daemon shows to whoever may look: log, pages, and what the kernel tells of the process."""
    process = Path(f"/proc/{daemon.pid}")
    titles = [process.joinpath(name).read_bytes().decode(errors="replace") for name in ("cmdline", "comm", "status")]
    pages = [daemon.page(path)[1] for path in PAGES]
    return json.dumps([daemon.log, pages, titles])


async def test_at_work_and_without_its_database(scene: RunContext, postgres_server: LocalPostgres) -> None:
    """Through start, load, refused commands, an outage and the end, with the log as talkative as it gets."""
    password = postgres_server.password
    with scene.daemon(DATABASE_URL=postgres_server.url, CONTROL_TOKEN=TOKEN, LOG_LEVEL="debug") as daemon:
        scene.send(put_body(f"{number}.txt") for number in range(50))
        await scene.until_empty()
        answers = [await control(daemon, word, token=TOKEN) for word in ("status", "pause", "resume")]
        answers.append(await control(daemon, "pause", token="another-token"))
        heard = [seen_from_outside(daemon), await _sessions(postgres_server.url)]
        postgres_server.stop("immediate")
        scene.send([put_body("later.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        heard.append(seen_from_outside(daemon))
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "database.available")
        await scene.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        heard += [str(daemon.log), *(answer.out + answer.err for answer in answers)]
    assert_silent(json.dumps(heard), password, TOKEN)


async def _sessions(url: str) -> str:
    """What PostgreSQL shows of its sessions."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        rows = await connection.fetch("SELECT application_name, query FROM pg_stat_activity")
    finally:
        await connection.close()
    assert "subscriber" in {row["application_name"] for row in rows}
    return str(rows)


async def test_a_wrong_password(scene: RunContext) -> None:
    """Neither as it stands in the URL nor as it is meant."""
    parts = urlsplit(scene.database_url)
    url = parts._replace(netloc=f"postgres:{WRONG_PASSWORD}@{parts.hostname}:{parts.port}").geturl()
    with scene.daemon(DATABASE_URL=url, LOG_LEVEL="debug", LOG_FORMAT="console") as daemon:
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DATABASE
        assert_silent(str(daemon.log), WRONG_PASSWORD, IN_PLAIN)


@asynccontextmanager
async def _queue_that_repeats_what_it_hears() -> AsyncIterator[int]:
    """Refuses every signature, and as AWS does, with the request it should have been the signature of."""

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
            pass  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_queue_that_repeats_the_session_token(scene: RunContext) -> None:
    """AWS shows a refused signature the request, token included: what the daemon says of it ends before that."""
    async with _queue_that_repeats_what_it_hears() as port:
        environment = scene.environment(LOG_LEVEL="debug") | {
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}",
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": SESSION_TOKEN,
        }
        with daemon_process(environment) as daemon:
            assert await asyncio.to_thread(daemon.wait) == ExitCode.QUEUE
            heard = str(daemon.log)
    assert "SignatureDoesNotMatch" in heard
    assert "Canonical" not in heard
    assert_silent(heard, SECRET_KEY, SESSION_TOKEN)


_BROKEN = """
import os, sys
from subscriber.check import run as checkup
from subscriber.cli.main import main as cli
from subscriber import app
from subscriber.quarantine import commands as desk
def broken(*_, **__):
    names = "SUBSCRIBER_DATABASE_URL", "SUBSCRIBER_CONTROL_TOKEN", "AWS_SESSION_TOKEN"
    secrets = [os.environ[name] for name in names]
    raise RuntimeError(f"{secrets} {_!r}")
app.Daemon.run = lambda daemon, **_: broken(daemon._settings)
checkup.check = desk.counts = broken
cli.main()
"""


@pytest.mark.parametrize("command", [("run",), ("check",), ("quarantine", "list")])
def test_a_traceback(scene: RunContext, command: tuple[str, ...]) -> None:
    """A failure of our own that quotes every secret ends as a traceback that shows none, whatever the command."""
    environment = scene.environment(CONTROL_TOKEN=TOKEN) | {"AWS_SESSION_TOKEN": SESSION_TOKEN}
    password = urlsplit(scene.database_url).password or ""
    done = subprocess.run(
        [sys.executable, "-c", _BROKEN, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == ExitCode.FAILED
    heard = done.stdout + done.stderr
    assert "RuntimeError" in heard
    assert_silent(heard, TOKEN, SESSION_TOKEN, password)


async def test_pages_show_no_setting(scene: RunContext) -> None:
    """The environment of the process is nobody's to read: pages tell of the line, not of where it was told to go."""
    with scene.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await until(lambda: daemon.page("/readyz")[0] == 200)
        pages = str([daemon.page(path) for path in PAGES])
        assert_silent(pages, scene.database_url, scene.schema, TOKEN)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD"])
def test_secrets_of_the_libraries_are_known_to_the_log(name: str) -> None:
    """They are no settings of ours, and hidden all the same; what is too short to be one is left alone."""
    assert external_secrets({name: SECRET_KEY, "AWS_REGION": "eu-central-1"}) == (SECRET_KEY,)
    assert external_secrets({name: "local"}) == ()
