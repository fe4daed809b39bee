"""From an event to a tag that is found: the real daemon and commands, and an S3 that answers two requests."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner

from subscriber.cli.main import main
from tests.e2e.environment import RunContext, put_body, until

HEAD = 'HTTP/1.1 200 OK\r\nETag: "abc"\r\nContent-Type: text/csv\r\nx-amz-meta-owner: ann\r\nContent-Length: 5\r\n\r\n'
TAGS = "<Tagging><TagSet><Tag><Key>project</Key><Value>x</Value></Tag></TagSet></Tagging>"
DENIED = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"

_VERSIONS = "subscriber_enriched_versions_total"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(_answer(head.decode().split()).encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _answer(words: list[str]) -> str:
    """To any object, except that nobody may read the one named secret."""
    method, target = words[:2]
    if "/secret" in target:
        body = "" if method == "HEAD" else DENIED
        return f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    return HEAD if method == "HEAD" else f"HTTP/1.1 200 OK\r\nContent-Length: {len(TAGS)}\r\n\r\n{TAGS}"


@pytest.fixture
async def s3_url() -> AsyncIterator[str]:
    """Where that S3 answers."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_tag_is_found_soon_after_its_event(
    context: RunContext, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switched on by a command, asked for by a daemon, found by a search; what is denied waits."""
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    environment |= context.environment(ENRICH="true") | {"AWS_ENDPOINT_URL_S3": s3_url}

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)
        assert (done.exit_code, done.stderr) == (0, ""), done.stderr
        return done.stdout

    await run("migrate")
    assert await run("features", "enable", "enrichment", "--bucket", "lake") == "the feature enrichment is on\n"
    with context.daemon_with(environment) as daemon:
        context.send([put_body("a.csv"), put_body("b.csv"), put_body("secret")])
        await context.until_empty()
        await until(lambda: daemon.metric(_VERSIONS, outcome="failed") >= 1)
        await until(lambda: daemon.metric(_VERSIONS, outcome="stored") >= 2)
    found = await run(
        "search", "s3://lake", "--where", "tags.project=x", "--where", "meta.owner=ann", "--format", "json"
    )
    assert [json.loads(line)["key"] for line in found.splitlines()] == ["a.csv", "b.csv"]
    status = json.loads(await run("enrich", "status", "--format", "json"))
    assert (status["due"], status["later"], status["given_up"]) == (0, 1, 0)
    assert [count for error, count in status["errors"].items() if "AccessDenied" in error] == [1]
    assert "of 3 rows are queued" in await run("enrich", "queue", "s3://lake")
    assert await run("enrich", "retry") == "0 versions are due again\n"
