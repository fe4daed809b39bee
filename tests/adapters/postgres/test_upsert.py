"""The upsert statement: its guard is the order of events, it stores every S3 key, and it locks rows in one order."""

from __future__ import annotations

import asyncio
import re
from random import Random
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.statements import statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import ObjectEvent
from tests.adapters.postgres.object_rows import colliding_row, row
from tests.fakes.store import order_of, version_of

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PAIRS = 4000
HOSTILE_KEYS = [
    " leading and trailing ",
    "quotes ' \" ` $1 $$ ;-- /* */",
    "back\\slash \\x00 \\000 \\",
    "tab\tnewline\nreturn\rbell\x07escape\x1bdelete\x7f",
    "{a,b} NULL \\N",
    "NULL",
    "{}",
    "percent %20 %2F plus + equals =",
    "combining e\u0301 and composed \u00e9",
    "right-to-left \u202e zero-width \u200b bom \ufeff",
    "non-characters \ufffe \uffff \U0010ffff private \ue000",
    "emoji 👩‍👩‍👧‍👦",
    "/",
    "//",
    ".",
    "..",
    "\u2028\u2029\x85",
    "separators \x1c\x1d\x1e\x1f\x01",
    "\x1f",
]


async def _table(database: Database) -> dict[tuple[str, str, str], ObjectEvent]:
    columns = ", ".join(ObjectEvent.__struct_fields__)
    found = await database.fetch(f"SELECT {columns} FROM object_versions")
    return {version_of(event): event for event in (ObjectEvent(*record) for record in found)}


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_guard_agrees_with_the_order_of_events(store: PostgresStore, database: Database, seed: int) -> None:
    """For thousands of random pairs, many of them tied, the database keeps the event that Python orders last."""
    random = Random(seed)
    pairs = [(colliding_row(random, f"{n}"), colliding_row(random, f"{n}")) for n in range(PAIRS)]
    assert await store.store([first for first, _ in pairs]) == PAIRS
    applied = await store.store([second for _, second in pairs])
    assert applied == sum(order_of(first) < order_of(second) for first, second in pairs)
    expected = {version_of(first): max(first, second, key=order_of) for first, second in pairs}
    assert await _table(database) == expected


async def test_the_order_of_writes_does_not_matter(store: PostgresStore, database: Database) -> None:
    """Shuffled, repeated and batched differently, the same rows give the same table."""
    random = Random(3)
    events = [colliding_row(random, f"{random.randrange(60)}", random.choice(["", "v"])) for _ in range(900)]
    tables = []
    for _ in range(4):
        await database.execute("TRUNCATE object_versions")
        stream = random.sample(events, len(events)) + random.sample(events, 200)
        while stream:
            batch = {version_of(event): event for event in stream[:300]}
            taken = list(batch.values())
            random.shuffle(taken)
            await store.store(taken)
            # An event that a newer one of the same version displaced from this batch comes again in a later batch.
            stream = [e for e in stream[:300] if batch[version_of(e)] != e] + stream[300:]
        tables.append(await _table(database))
    assert len(tables[0]) > 100
    assert all(table == tables[0] for table in tables)


async def test_only_new_content_changes_ingested_at(store: PostgresStore, database: Database) -> None:
    """`ingested_at` changes only when a row gets new content."""
    await store.store([row(sequencer="5")])
    first = await database.fetchval("SELECT ingested_at FROM object_versions")
    await store.store([row(sequencer="4")])
    assert await database.fetchval("SELECT ingested_at FROM object_versions") == first
    await store.store([row(sequencer="6")])
    assert await database.fetchval("SELECT ingested_at FROM object_versions") > first


async def test_unusual_keys_are_stored_unmodified(store: PostgresStore, database: Database) -> None:
    """Every character that a key can have, except NUL, is stored unmodified, and keys stay distinct."""
    every_character = [chr(code) for code in range(1, 0x3000) if not 0xD800 <= code < 0xE000]
    events = [row(key=key) for key in sorted({*HOSTILE_KEYS, *every_character})]
    assert await store.store(events) == len(events)
    assert set(await _table(database)) == {version_of(event) for event in events}


async def test_the_largest_version_fits_the_index(store: PostgresStore, database: Database) -> None:
    """The longest possible bucket, key and version id, incompressible, can be stored."""
    random = Random(5)
    characters = [chr(code) for code in range(0x10000, 0x10FFFF)]
    four_byte_key = "".join(random.choices(characters, k=256))
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    largest = row(
        bucket="".join(random.choices(letters, k=255)),
        key=four_byte_key,
        version_id="".join(random.choices(letters, k=1024)),
    )
    assert len(four_byte_key.encode()) == 1024
    assert await store.store([largest]) == 1
    assert await _table(database) == {version_of(largest): largest}


async def test_writers_of_the_same_rows_never_deadlock(store: PostgresStore) -> None:
    """Two writers with the same rows in opposite orders wait for each other without a deadlock."""
    rows = [row(key=f"{n:04}") for n in range(800)]
    for attempt in range(12):
        newer = [msgspec.structs.replace(event, sequencer=f"{attempt + 1:04X}1") for event in rows]
        async with asyncio.TaskGroup() as writers:
            writers.create_task(store.store(newer), name="forwards")
            writers.create_task(store.store(newer[::-1]), name="backwards")


def test_the_statement_has_the_fields_in_order() -> None:
    """The columns of the statement are the fields of ObjectEvent in the same order, since parameters go by position."""
    text = statement("upsert", "any")
    lists = re.findall(r"\(\s*(bucket, key, version_id, [a-z_, ]+?)\s*\)", text)
    assert lists[0].split(", ") == list(ObjectEvent.__struct_fields__)
    assert lists[1] == lists[0]


async def test_scattered_updates_touch_no_index(store: PostgresStore, database: Database) -> None:
    """Scattered updates are HOT: only the key is indexed, and pages have free space."""
    random = Random(6)
    rows = [row(key=f"{n:06}") for n in range(3000)]
    await store.store(rows)
    for attempt in range(1, 31):
        part = random.sample(rows, 100)
        await store.store([msgspec.structs.replace(event, sequencer=f"F{attempt:02}1") for event in part])
    await store.close()  # a session reports its statistics at its end at the latest
    async with asyncio.timeout(60):
        while (counts := await _update_counts(database))[0] < 3000:  # noqa: ASYNC110  -- no event to wait for
            await asyncio.sleep(0.02)
    updates, hot_updates = counts
    assert hot_updates / updates > 0.9


async def _update_counts(database: Database) -> tuple[int, int]:
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'object_versions'::regclass"
    found = await database.fetchrow(query)
    return (found["n_tup_upd"], found["n_tup_hot_upd"]) if found else (0, 0)
