"""Reads what PostgreSQL committed, and when, from a logical replication slot: evidence independent of the daemon.

A slot with PostgreSQL's `test_decoding` plugin returns every committed change in commit order, with the commit time
of each transaction in microseconds. The server takes that time before it responds to the client, so everything the
client does in response happens later by any clock of the same machine.

The parser follows `contrib/test_decoding/test_decoding.c`: one line for BEGIN, one for each row, and one for COMMIT
with the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from subscriber.model import ObjectEvent
from testkit.workload.bucket import RowState

_CHANGES_AT_ONCE = 20_000
_TEXT = "'((?:[^']|'')*)'"
_ROW: Final = re.compile(
    rf"bucket\[text\]:{_TEXT} key\[text\]:{_TEXT} version_id\[text\]:{_TEXT} state\[text\]:{_TEXT} "
    rf"sequencer\[text\]:{_TEXT} event_name\[text\]:{_TEXT} event_time\[timestamp with time zone\]:{_TEXT} "
    rf"size_bytes\[bigint\]:(null|\d+) etag\[text\]:(?:null|{_TEXT})",
    re.DOTALL,
)
_QUARANTINED: Final = re.compile(rf"message_id\[text\]:{_TEXT}", re.DOTALL)
_COMMIT: Final = re.compile(r"COMMIT \d+ \(at (.+)\)")


class RowCommit(msgspec.Struct, frozen=True, gc=False):
    """One row as one transaction wrote it."""

    committed_at: float
    """Unix seconds, by the server's clock."""
    row: ObjectEvent


class QuarantineCommit(msgspec.Struct, frozen=True, gc=False):
    """One message that one transaction inserted into the quarantine, or whose receive count it raised there."""

    committed_at: float
    message_id: str


Change = RowCommit | QuarantineCommit


class CommitLog:
    """A logical replication slot on one database, read for the changes of one schema.

    Args:
        connection: a superuser's connection with `timezone` UTC; the server runs with `wal_level = logical`.
        name: name of the slot, in lower case.
        schema: schema of the tables to read, a name that needs no quotes.
    """

    def __init__(self, connection: asyncpg.Connection[Any], name: str, schema: str) -> None:
        self._connection = connection
        self._name = name
        self._schema = schema

    async def begin(self) -> None:
        """Create the slot: it keeps all changes from now on."""
        await self._connection.execute(
            "SELECT pg_create_logical_replication_slot($1, 'test_decoding')", self._name, timeout=60
        )

    async def changes(self, connection: asyncpg.Connection[Any] | None = None) -> list[Change]:
        """All changes since the last call, in commit order.

        Args:
            connection: replaces the first connection, for example after a restart of the server.
        """
        self._connection = connection or self._connection
        found: list[Change] = []
        while True:
            lines = await self._connection.fetch(
                "SELECT data FROM pg_logical_slot_get_changes($1, NULL, $2, 'include-timestamp', 'on')",
                self._name,
                _CHANGES_AT_ONCE,
                timeout=120,
            )
            found += parsed((line["data"] for line in lines), self._schema)
            if not lines:
                return found

    async def end(self) -> None:
        """Drop the slot: a slot that is not read retains WAL without limit."""
        await self._connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", self._name
        )


def parsed(lines: Iterable[str], schema: str) -> Iterator[Change]:
    """The changes of one schema's tables in the lines of whole transactions.

    Raises:
        ValueError: a line about these tables cannot be parsed.
    """
    versions, quarantine = f"table {schema}.object_versions: ", f"table {schema}.quarantined_messages: "
    rows: list[ObjectEvent] = []
    quarantined: list[str] = []
    for line in lines:
        if line.startswith(versions):
            rows.append(_row(line))
        elif line.startswith(quarantine):
            found = _QUARANTINED.search(line)
            quarantined.append(_plain(found[1]) if found else "")
        elif commit := _COMMIT.fullmatch(line):
            moment = datetime.fromisoformat(commit[1]).timestamp()
            yield from (RowCommit(moment, row) for row in rows)
            yield from (QuarantineCommit(moment, message_id) for message_id in quarantined)
            rows, quarantined = [], []


def _row(line: str) -> ObjectEvent:
    found = _ROW.search(line)
    if found is None:
        raise ValueError(f"not a row of the index in the format of test_decoding: {line}")
    bucket, key, version_id, state, sequencer, name, moment, size, etag = found.groups()
    return ObjectEvent(
        bucket=_plain(bucket),
        key=_plain(key),
        version_id=_plain(version_id),
        state=_state(state),
        sequencer=sequencer,
        event_name=_plain(name),
        event_time=datetime.fromisoformat(moment),
        size_bytes=None if size == "null" else int(size),
        etag=None if etag is None else _plain(etag),
    )


def _plain(quoted: str) -> str:
    return quoted.replace("''", "'")


def _state(text: str) -> RowState:
    match text:
        case "present" | "delete_marker" | "removed":
            return text
    raise ValueError(f"{text} is not a state of an object version")
