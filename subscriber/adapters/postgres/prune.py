"""Deletes old tombstones, replayed messages and jobs that have ended page by page, for the operator's command."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import quoted, statement

Kind: TypeAlias = Literal["tombstones", "quarantine", "jobs"]
Position: TypeAlias = tuple[str, ...]
"""A primary key. The first page is after the position in FIRST."""

FIRST: dict[Kind, Position] = {"tombstones": ("", "", ""), "quarantine": ("", ""), "jobs": ("0",)}

_TIMEOUT_SECONDS = 60.0

_IF_DENIED = "Only the owner of the tables can prune them, not the daemon's writer: run this as that role."


class PruneFacts(msgspec.Struct, frozen=True):
    """What is to be known before anything is deleted."""

    now: datetime
    """The database's time, by which its rows are dated."""
    versions: int
    """Rows of the index, by the server's estimate."""
    messages: int
    """Messages in the quarantine, by the server's estimate."""
    jobs: int
    """Jobs, by the server's estimate."""
    oldest_waiting: datetime | None
    """Since when a message waits in the quarantine."""


class PrunedPage(msgspec.Struct, frozen=True):
    """What one statement did."""

    last: Position
    seen: int
    """Rows read."""
    removed: int
    """Rows deleted; in a dry run, rows that would be."""


class PrunedTables:
    """The tables. Every method raises StoreError if the database fails, and opens a connection of its own."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    async def facts(self) -> PruneFacts:
        """The time, estimates, and the oldest waiting message."""
        schema = self._options.schema
        tables = [f"{quoted(schema)}.{table}" for table in ("object_versions", "quarantined_messages", "jobs")]
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement("prune_facts", schema), *tables)
        return PruneFacts(*rows[0])

    async def prune(
        self, kind: Kind, after: Position, before: datetime, at_most: int, *, dry_run: bool
    ) -> PrunedPage | None:
        """Read the next rows after a position and delete those written before a time; None at the end of the table."""
        name = f"prune_{kind}_dry_run" if dry_run else f"prune_{kind}"
        async with session(self._options, _TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement(name, self._options.schema), *after, before, at_most)
        if not rows:
            return None
        *last, seen, removed = rows[0]
        return PrunedPage(tuple(last), seen, removed)
