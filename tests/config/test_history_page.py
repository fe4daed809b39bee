"""docs/how-to/history.md: its commands print what the page shows, after the changes that it tells of."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from tests.config.test_search_page import environment as environment  # noqa: PLC0414 - a fixture
from tests.config.test_search_page import printed, shown

PAGE = "docs/how-to/history.md"
MOMENT = "2026-11-30T08:00Z"
"""As the page writes it: between switching the history on and the changes."""
CHANGES = """
SET search_path = subscriber;
UPDATE object_versions
SET state = 'removed', size_bytes = NULL, etag = NULL, event_name = 'ObjectRemoved:Delete',
    event_time = '2026-11-30 08:01:00+00', sequencer = '6A'
WHERE bucket = 'lake-raw' AND key = 'raw/2026-11-22/part-0002.parquet';
UPDATE object_versions SET size_bytes = 4096, event_time = '2026-11-30 08:02:00+00', sequencer = '6A'
WHERE bucket = 'lake-raw' AND key = 'raw/table_07/part-0001.parquet';
INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
VALUES (
    'lake-raw', 'raw/2026-11-24/part-0001.parquet', '', 'present', '6A', 'ObjectCreated:Put', '2026-11-30 08:03:00+00',
    1000, 'd41d8cd98f00b204e9800998ecf8427e'
)
"""
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")


async def test_commands_print_what_the_page_shows(environment: dict[str, str], tmp_path: Path) -> None:
    """Times aside, in the order of the page."""
    (first, output), *others = shown(PAGE)
    assert await asyncio.to_thread(printed, first, environment, tmp_path) == output
    moment = datetime.now(UTC)
    connection = await asyncpg.connect(environment["SUBSCRIBER_DATABASE_URL"], timeout=10)
    await connection.execute(CHANGES)
    await connection.close()
    assert len(others) == 5
    for command, expected in others:
        asked = command.replace(MOMENT, moment.isoformat())
        found = await asyncio.to_thread(printed, asked, environment, tmp_path)
        assert _TIME.sub("then", found) == _TIME.sub("then", expected), command
