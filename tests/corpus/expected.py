"""The exact expected contents of the tables after some cases, computed from the cases alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

import asyncpg
import msgspec

from subscriber.model import ObjectEvent
from tests.corpus.case import Case

Rows: TypeAlias = "dict[tuple[str, str, str], tuple[Any, ...]]"
"""Rows by bucket, key and version id."""


def rows_of(cases: Iterable[Case]) -> Rows:
    """The newest event of every version; in the corpus sequencers alone decide the order."""
    newest: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in (event for case in cases for event in case.events):
        version = (event.bucket, event.key, event.version_id)
        if version not in newest or event.sequencer > newest[version].sequencer:
            newest[version] = event
    return {version: msgspec.structs.astuple(event) for version, event in newest.items()}


def quarantine_of(cases: Iterable[Case]) -> Counter[tuple[bytes, str]]:
    """The quarantined bodies with their reasons."""
    return Counter((case.body.encode("utf-8", "surrogatepass"), case.reason) for case in cases if case.reason)


async def stored_rows(database: asyncpg.Connection[asyncpg.Record]) -> Rows:
    """The rows of the table, without the columns about the time of writing."""
    columns = ", ".join(ObjectEvent.__struct_fields__)
    rows = await database.fetch(f"SELECT {columns} FROM object_versions")
    return {tuple(row)[:3]: tuple(row) for row in rows}


async def stored_quarantine(database: asyncpg.Connection[asyncpg.Record]) -> Counter[tuple[bytes, str]]:
    """The quarantined bodies with their reasons; checks that every entry has a detail."""
    rows = await database.fetch("SELECT body, reason, detail FROM quarantined_messages")
    assert all(0 < len(row["detail"]) < 1_000 for row in rows)
    return Counter((row["body"], row["reason"]) for row in rows)
