"""docs/reading-the-index.md: every statement runs on a migrated database, and answers what the page shows."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.migrations import migrate
from tests.config.shell_blocks import blocks
from tests.repo.source import texts

PAGE = "docs/reading-the-index.md"
ROWS = """
INSERT INTO subscriber.object_versions
    (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
VALUES
('lake-raw', 'raw/2026-11-22/part-0001.parquet', '', 'present', '67A1', 'ObjectCreated:Put',
    '2026-11-22 08:00:01+00', 52428800, 'd41d8cd98f00b204e9800998ecf8427e'),
('lake-raw', 'raw/2026-11-22/part-0002.parquet', '', 'present', '67A2', 'ObjectCreated:Put',
    '2026-11-22 08:00:02+00', 41943040, '900150983cd24fb0d6963f7d28e17f72'),
('lake-raw', 'raw/2026-11-23/part-0001.parquet', '', 'present', '67B1', 'ObjectCreated:Put',
    now(), 31457280, 'f96b697d7cb7938d525a2f31aaf161d0'),
('lake-raw', 'raw/2026-11-23/part-0002.parquet', '', 'removed', '67B3', 'ObjectRemoved:Delete',
    '2026-11-23 09:30:00+00', NULL, NULL),
('lake-raw', 'raw/table_07/part-0001.parquet', '', 'present', '67C1', 'ObjectCreated:Put',
    '2026-11-23 10:00:00+00', 1024, NULL),
('lake-raw', 'raw/table_07/part-0002.parquet', '', 'present', '67C2', 'ObjectCreated:Put',
    '2026-11-23 10:00:01+00', 2048, NULL),
('lake-versioned', 'report.csv', 'v1', 'present', '68A1', 'ObjectCreated:Put',
    '2026-11-20 12:00:00+00', 100, '0cc175b9c0f1b6a831c399e269772661'),
('lake-versioned', 'report.csv', 'v2', 'present', '68A2', 'ObjectCreated:Put',
    '2026-11-21 12:00:00+00', 120, '92eb5ffee6ae2fec3ad71c777531578f'),
('lake-versioned', 'report.csv', 'm1', 'delete_marker', '68A3', 'ObjectRemoved:DeleteMarkerCreated',
    '2026-11-22 12:00:00+00', NULL, NULL);
INSERT INTO subscriber.buckets (bucket, youngest_event_time) VALUES ('lake-raw', now())
"""
"""The table that the answers on the page come from."""


@pytest.fixture
async def index(postgres_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to a database of the test's own, whose schema `subscriber` is migrated and holds `ROWS`."""
    name = f"reading_{uuid.uuid4().hex[:8]}"
    url = f"{postgres_url.rpartition('/')[0]}/{name}"
    superuser = await asyncpg.connect(postgres_url, timeout=10)
    try:
        await superuser.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        await migrate(StoreOptions(url=url, tls="disable"))
        await Features(StoreOptions(url=url, tls="disable")).enable("history", {"keep_days": 1})
        connection = await asyncpg.connect(url, timeout=10)
        await connection.execute(ROWS)
        yield connection
        await connection.close()
    finally:
        await superuser.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await superuser.execute("DROP ROLE IF EXISTS analyst")
        await superuser.close()


def statements(block: str) -> list[str]:
    """The statements of a block."""
    return [text for text in re.split(r";$", block, flags=re.MULTILINE) if text.strip()]


def answers() -> list[tuple[str, list[list[str]]]]:
    """Each block of SQL that an answer follows, and the cells of the answer as psql prints them."""
    lines = r"((?:(?!```).*\n)+)"
    found = re.findall(rf"^```sql\n{lines}```\n\n```\n{lines}```$", texts()[PAGE], re.MULTILINE)
    return [(block, [_cells(line) for line in answer.splitlines()[2:-1]]) for block, answer in found]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def as_printed(value: Any) -> str:
    """A value as psql shows it in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    return {None: "", True: "t", False: "f"}[value] if value is None or isinstance(value, bool) else str(value)


async def test_every_statement_runs(index: asyncpg.Connection[asyncpg.Record]) -> None:
    """In the order of the page, and all but those that change something find rows."""
    for block in blocks(texts()[PAGE], "sql"):
        for statement in statements(block):
            rows = await index.fetch(statement)
            assert rows or not statement.lstrip().startswith(("SELECT", "EXECUTE")), statement


async def test_answers_are_those_of_the_page(index: asyncpg.Connection[asyncpg.Record]) -> None:
    """Cell by cell."""
    assert len(answers()) >= 5
    for block, cells in answers():
        (statement,) = statements(block)
        rows = [[as_printed(value) for value in row] for row in await index.fetch(statement)]
        assert rows == cells


async def test_a_prefix_and_a_list_of_keys_read_the_primary_key(index: asyncpg.Connection[asyncpg.Record]) -> None:
    """LIKE becomes a range of the key; the function and the join with `versions` ask for one key at a time."""
    await index.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_mergejoin = off")
    words = ("ORDER BY key LIMIT 1000", "find_objects", "JOIN subscriber.versions")
    asked = [block for block, _ in answers() if any(each in block for each in words)]
    plans = [await index.fetch(f"EXPLAIN {statement}") for block in asked for statement in statements(block)]
    prefix, looked_up, joined = ("\n".join(line for (line,) in plan) for plan in plans)
    assert "(key >= 'raw/2026-11-22/'::text) AND (key < 'raw/2026-11-220'::text)" in prefix
    assert "(key = (given.key)::text))" in looked_up
    assert '(bucket = "*VALUES*".column1) AND (key = "*VALUES*".column2)' in joined


async def test_a_reader_sees_the_view_and_no_more(index: asyncpg.Connection[asyncpg.Record]) -> None:
    """Until the table is granted, too."""
    to_view, to_table, to_history = (block for block in blocks(texts()[PAGE], "sql") if "GRANT" in block)
    await index.execute(to_view)
    await index.execute("SET ROLE analyst")
    assert await index.fetchval("SELECT count(*) FROM subscriber.objects") == 5
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await index.fetch("SELECT * FROM subscriber.object_versions")
    await index.execute("RESET ROLE")
    await index.execute(to_table)
    await index.execute("SET ROLE analyst")
    assert await index.fetchval("SELECT count(*) FROM subscriber.object_versions") == 9
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await index.fetch("SELECT * FROM subscriber.object_history")
    await index.execute("RESET ROLE")
    await index.execute(to_history)
    await index.execute("SET ROLE analyst")
    assert await index.fetch("SELECT * FROM subscriber.versions_at('lake-raw', 'none/', now())") == []
