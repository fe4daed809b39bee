"""What the tables must hold, to the letter, when some cases have gone through: worked out from the cases alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

import asyncpg
import msgspec

from subscriber.model import ObjectEvent
from tests.corpus.case import Case

Rows: TypeAlias = "dict[tuple[str, str, str], tuple[Any, ...]]"
"""By bucket, key and version."""


def rows_of(cases: Iterable[Case]) -> Rows:
    """The newest event of every version; in the corpus their sequencers alone decide which that is."""
    newest: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in (event for case in cases for event in case.events):
        version = (event.bucket, event.key, event.version_id)
        if version not in newest or event.sequencer > newest[version].sequencer:
            newest[version] = event
    return {version: msgspec.structs.astuple(event) for version, event in newest.items()}


def quarantine_of(cases: Iterable[Case]) -> Counter[tuple[bytes, str]]:
    """Whole bodies, and why."""
    return Counter((case.body.encode("utf-8", "surrogatepass"), case.reason) for case in cases if case.reason)


async def stored_rows(database: asyncpg.Connection[asyncpg.Record]) -> Rows:
    """The table, but for when its rows came."""
    columns = ", ".join(ObjectEvent.__struct_fields__)
    rows = await database.fetch(f"SELECT {columns} FROM object_versions")
    return {tuple(row)[:3]: tuple(row) for row in rows}


async def stored_quarantine(database: asyncpg.Connection[asyncpg.Record]) -> Counter[tuple[bytes, str]]:
    """The quarantine; every entry has its sentence."""
    rows = await database.fetch("SELECT body, reason, detail FROM quarantined_messages")
    assert all(0 < len(row["detail"]) < 1_000 for row in rows)
    return Counter((row["body"], row["reason"]) for row in rows)
