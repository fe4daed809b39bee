"""From a native S3 body to index rows, and from rows to the table, in as little correct code as possible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

import asyncpg

from subscriber.adapters.postgres.statements import statement

UPSERT = re.sub(r"string_to_array\((\$\d), \$10\)", r"\1::text[]", statement("upsert", "subscriber"))
"""The daemon's own statement, so that the table ends the same, but with an array per column, as tutorials bind rows."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


class IndexRow(NamedTuple):
    """The parameters of the upsert, in its order."""

    bucket: str
    key: str
    version_id: str
    state: str
    sequencer: str
    event_name: str
    event_time: datetime
    size_bytes: int | None
    etag: str | None


def rows_of(body: str) -> list[IndexRow]:
    """The rows of a native body that holds creations and removals."""
    return [_row(record) for record in json.loads(body)["Records"]]


def newest(rows: Iterable[IndexRow]) -> list[IndexRow]:
    """The newest row of each version: one statement may write a row only once."""
    kept: dict[tuple[str, ...], IndexRow] = {}
    for row in rows:
        other = kept.get(row[:3])
        if other is None or other.sequencer < row.sequencer:
            kept[row[:3]] = row
    return list(kept.values())


async def upsert(connection: Connection, rows: Iterable[IndexRow]) -> None:
    """Stores the rows in one statement."""
    await connection.execute(UPSERT, *zip(*newest(rows), strict=True))


def _row(record: dict[str, Any]) -> IndexRow:
    described = record["s3"]["object"]
    created = record["eventName"].startswith("ObjectCreated:")
    return IndexRow(
        record["s3"]["bucket"]["name"],
        unquote_plus(described["key"]),
        described.get("versionId", ""),
        "present" if created else "removed",
        described["sequencer"].removeprefix("00").rstrip("0"),
        record["eventName"],
        datetime.fromisoformat(record["eventTime"]),
        described.get("size"),
        described.get("eTag"),
    )
