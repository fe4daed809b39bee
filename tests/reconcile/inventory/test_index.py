"""An inventory fills an empty index in PostgreSQL, and events beat its rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeAlias, get_args

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.events.order import fold
from subscriber.model import ListedVersion, ObjectEvent
from subscriber.reconcile.inventory.facts import inventoried_event
from subscriber.reconcile.inventory.manifest import FileFormat
from testkit.s3.inventory import Written, sample_versions, write_inventory
from tests.reconcile.inventory.reading import BUCKET, inventory_rows

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

WORTH = 1_790_000_000 - 86_400
_OBJECTS = "SELECT key, version_id, size_bytes, etag FROM objects"


async def objects(database: Database) -> set[tuple[Any, ...]]:
    """The view `objects`."""
    return {tuple(record) for record in await database.fetch(_OBJECTS)}


def current(rows: Iterable[ListedVersion]) -> set[tuple[Any, ...]]:
    """What a GET of each key would find."""
    return {(row.key, row.version_id, row.size_bytes, row.etag) for row in rows if row.is_latest and not row.is_marker}


async def store_all(store: PostgresStore, events: Iterable[ObjectEvent], random: Random) -> None:
    """Write all events in an order that the seed chooses, in batches."""
    shuffled = list(events)
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), 500):
        await store.store(list(fold(shuffled[start : start + 500])))


@pytest.mark.parametrize("file_format", get_args(FileFormat))
async def test_an_inventory_fills_the_index(
    tmp_path: Path, store: PostgresStore, database: Database, file_format: FileFormat
) -> None:
    """Every current object of the inventory, hostile keys included, is in the view, and nothing else."""
    versions = _whole_stacks(sample_versions(7, 3000))
    rows = await inventory_rows(write_inventory(tmp_path, versions, Written(file_format=file_format)))

    await store_all(store, [inventoried_event(BUCKET, row, WORTH) for row in rows], Random(1))
    assert await objects(database) == current(versions)
    assert await database.fetchval("SELECT count(*) FROM object_versions") == len(versions)


async def test_later_events_win_in_any_order(store: PostgresStore, database: Database) -> None:
    """A version that an event removed after the inventory's second stays removed, whichever came first."""
    versions = _whole_stacks(sample_versions(8, 1500))
    facts = [inventoried_event(BUCKET, row, WORTH) for row in versions]
    removed = {(row.key, row.version_id) for row in versions if row.is_latest}
    removals = [
        msgspec.structs.replace(
            fact,
            state="removed",
            sequencer=f"{WORTH + 1:08X}",
            event_name="ObjectRemoved:Delete",
            event_time=datetime.fromtimestamp(WORTH + 1, UTC),
            size_bytes=None,
            etag=None,
        )
        for fact in facts
        if (fact.key, fact.version_id) in removed
    ]

    await store_all(store, [*facts, *removals, *facts], Random(2))
    rest = [row for row in versions if not row.is_latest]
    newest = {row.key: row for row in sorted(rest, key=lambda row: row.last_modified)}
    assert await objects(database) == {
        (row.key, row.version_id, row.size_bytes, row.etag) for row in newest.values() if not row.is_marker
    }


def _whole_stacks(versions: Iterable[ListedVersion]) -> list[ListedVersion]:
    """All versions but those of a key whose latest one was cut off at the end of the sample."""
    rows = list(versions)
    whole = {row.key for row in rows if row.is_latest}
    return [row for row in rows if row.key in whole]
