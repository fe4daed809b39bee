"""Rows of a data lake: a day's folder, an unordered name, one of a few extensions; sizes and times as they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import asyncpg

from subscriber.model import ObjectEvent

BUCKET: Final = "benchmark-lake-bucket"
BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
EXTENSIONS: Final = (".parquet", ".parquet", ".parquet", ".csv", ".json", ".snappy.parquet")
"""Half of the objects have the first."""
DAYS: Final = 90
_SECONDS_A_ROW: Final = 7

_FILL: Final = """
INSERT INTO {schema}.object_versions
    (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
SELECT
    '{bucket}',
    'raw/day=' || lpad((number % {days})::text, 3, '0') || '/part-' || md5(number::text)
        || ('{{{extensions}}}'::text[])[1 + number % {kinds}],
    '',
    CASE WHEN number % 20 = 7 THEN 'removed' ELSE 'present' END,
    rtrim(upper(lpad(to_hex(1 + number), 16, '6')), '0'),
    'ObjectCreated:Put',
    timestamptz '2026-01-01 00:00:00+00' + number * interval '{seconds} seconds',
    CASE WHEN number % 20 = 7 THEN NULL ELSE hashint8(number)::bigint + 2147483648 END,
    CASE WHEN number % 20 = 7 THEN NULL ELSE md5(number::text) END
FROM generate_series({first}, {last}) AS numbers (number)
"""
_FILL_ROWS: Final = 250_000


async def fill(connection: asyncpg.Connection[asyncpg.Record], schema: str, rows: int) -> None:
    """Insert so many rows by SQL, of which a twentieth are tombstones, and vacuum the table."""
    for first in range(0, rows, _FILL_ROWS):
        await connection.execute(
            _FILL.format(
                schema=schema,
                bucket=BUCKET,
                days=DAYS,
                extensions=",".join(EXTENSIONS),
                kinds=len(EXTENSIONS),
                seconds=_SECONDS_A_ROW,
                first=first,
                last=min(rows, first + _FILL_ROWS) - 1,
            )
        )
    await connection.execute(f"VACUUM ANALYZE {schema}.object_versions")


def key_of(number: int) -> str:
    """The key of a row by its number, the same as `fill` writes."""
    name = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return f"raw/day={number % DAYS:03}/part-{name}{EXTENSIONS[number % len(EXTENSIONS)]}"


def batches(numbers: range, size: int, version: int) -> Iterator[list[ObjectEvent]]:
    """Events of some objects, in batches.

    Args:
        numbers: of the objects.
        size: of a batch.
        version: how often each object was overwritten before; a later one has another size, time and ETag.
    """
    random = Random(numbers.start * 31 + version)
    for start in range(0, len(numbers), size):
        yield [_event(number, version, random) for number in numbers[start : start + size]]


def _event(number: int, version: int, random: Random) -> ObjectEvent:
    time = BEGAN_AT + timedelta(seconds=_SECONDS_A_ROW * number, days=version * DAYS)
    return ObjectEvent(
        bucket=BUCKET,
        key=key_of(number),
        version_id="",
        state="present",
        sequencer=f"{0x66A0000000000001 + (version << 40) + 2 * number:016X}".rstrip("0"),
        event_name="ObjectCreated:Put",
        event_time=time,
        size_bytes=random.randrange(1 << 32),
        etag=f"{random.getrandbits(128):032x}",
    )
