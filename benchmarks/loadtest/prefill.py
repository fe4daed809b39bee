"""Rows that are in the table before the first message: millions, between which the new rows will fall.

They have even numbers in the key space of the flood, whose own are odd: new rows spread over every page of the index,
and two of them are hardly ever adjacent.
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from testkit.workload.backlogs import BUCKET, key
from testkit.workload.bucket import START

_FILL: Final = """
INSERT INTO subscriber.object_versions
    (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
SELECT $1, $2 || lpad((2 * number)::text, 12, '0') || '.parquet', '', 'present',
       $3 || lpad(upper(to_hex(number)), 8, '0') || '1', 'ObjectCreated:Put', $4, number, md5(number::text)
FROM generate_series($5::bigint, $6::bigint) AS number
"""
_MAINTENANCE: Final = ("VACUUM (ANALYZE) subscriber.object_versions", "CHECKPOINT")
_FILL_CONNECTIONS = 2
_FILL_TIMEOUT_SECONDS = 600.0


async def prefill(database_url: str, rows: int) -> None:
    """Inserts so many rows, then vacuums, analyzes and flushes the table, as one that has existed for long."""
    share = max(1, -(-rows // _FILL_CONNECTIONS))
    async with asyncio.TaskGroup() as group:
        for first in range(0, rows, share):
            last = min(first + share, rows) - 1
            group.create_task(_fill(database_url, first, last), name=f"rows from {first}")
    connection = await asyncpg.connect(database_url, command_timeout=_FILL_TIMEOUT_SECONDS)
    try:
        for command in _MAINTENANCE:
            await connection.execute(command)
    finally:
        await connection.close()


async def _fill(database_url: str, first: int, last: int) -> None:
    connection = await asyncpg.connect(database_url, command_timeout=_FILL_TIMEOUT_SECONDS)
    try:
        prefix = key(0).removesuffix(f"{0:012}.parquet")
        second = f"{int(START.timestamp()):08X}"
        await connection.execute(_FILL, BUCKET, prefix, second, START, first, last)
    finally:
        await connection.close()
