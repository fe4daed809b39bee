"""search.md, count.md and enrich.md of docs/how-to: commands print what pages show, on rows of reading-the-index."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from tests.config.shell_blocks import blocks
from tests.config.test_reading_page import ROWS
from tests.repo.source import ROOT, texts

PAGES = ("docs/how-to/search.md", "docs/how-to/count.md", "docs/how-to/enrich.md")
LOGS = """
INSERT INTO subscriber.object_versions
    (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
SELECT 'lake-raw', 'logs/' || to_char(number, 'FM00000') || '.json', '', 'present', '68A1', 'ObjectCreated:Put',
    '2026-11-01 00:00:00+00'::timestamptz + number * interval '1 minute', number, md5(number::text)
FROM generate_series(1, 20000) AS numbers (number)
"""
"""Enough rows that an index is worth its use."""
METADATA = """
INSERT INTO subscriber.object_metadata (bucket, key, version_id, metadata)
SELECT
    bucket, key, version_id,
    '{"content_type": "text/csv", "tags": {"project": "weather"}, "meta": {"owner": "ann"}}'::jsonb
FROM subscriber.versions WHERE bucket = 'lake-raw' AND state = 'present' AND key NOT LIKE 'logs/%'
UNION ALL
SELECT bucket, key, version_id, '{"content_type": "application/json", "tags": {"project": "shop", "owner": "bob"}}'
FROM subscriber.versions WHERE bucket = 'lake-raw' AND key BETWEEN 'logs/' AND 'logs/00003'
"""
"""What a daemon would have stored."""
_TOKEN = re.compile(r"--token=[\w-]+(?=\n|$)")
_ESTIMATE = re.compile(r"about [\d,]+ rows")
_STATISTICS = re.compile(r"statistics of [-0-9 :]+, \d+ s ago")


def shown(page: str) -> Iterator[tuple[str, str]]:
    """Each command of the page, and the lines that follow it."""
    for block in blocks(texts()[page], ""):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip("\n")


@pytest.fixture
async def environment(postgres_url: str) -> AsyncIterator[dict[str, str]]:
    """The variables that name a database of the test's own, with rows and statistics."""
    name = f"searching_{uuid.uuid4().hex[:8]}"
    url = f"{postgres_url.rpartition('/')[0]}/{name}"
    superuser = await asyncpg.connect(postgres_url, timeout=10)
    try:
        await superuser.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        await migrate(StoreOptions(url=url, tls="disable"))
        connection = await asyncpg.connect(url, timeout=10)
        await connection.execute(f"{ROWS}; {LOGS}; {METADATA}")
        await connection.execute("VACUUM ANALYZE subscriber.object_versions")
        await connection.close()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SUBSCRIBER_", "AWS_"))}
        yield inherited | {"SUBSCRIBER_DATABASE_URL": url}
    finally:
        await superuser.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await superuser.close()


def printed(command: str, environment: dict[str, str], folder: Path) -> str:
    """What a command of the page prints in a shell, standard error included; tokens differ from run to run."""
    text = re.sub(
        r"\bsubscriber (?=search|exists|indexes|count|du|features|history|diff|enrich)",
        f"{sys.executable} -m subscriber ",
        command,
    )
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return without_estimates(_TOKEN.sub("--token=…", done.stdout).strip("\n"))


def without_estimates(text: str) -> str:
    """Another version of PostgreSQL may expect other numbers of rows; statistics are as old as the test."""
    return _STATISTICS.sub("statistics of then", _ESTIMATE.sub("about so many rows", text))


@pytest.mark.parametrize("page", PAGES)
async def test_commands_print_what_the_page_shows(environment: dict[str, str], tmp_path: Path, page: str) -> None:
    """In the order of the page, since some build on others."""
    examples = list(shown(page))
    assert len(examples) >= 7
    for command, output in examples:
        assert await asyncio.to_thread(printed, command, environment, tmp_path) == without_estimates(output), command
