"""The index as comparisons read it, on a real database: order, pages, digests, and a sample of the keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.object_index import LAST_KEY, ObjectIndex, sample_percent, thinned
from subscriber.adapters.postgres.statements import statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import IndexedVersion, KeyRange, ListedVersion, ObjectEvent
from subscriber.reconcile.page_digest import SEPARATOR, page_digest, page_text
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

EVERYTHING = KeyRange()
KEYS = ["!", "a", "a\x01", "a/b", "a\U0010ffff", "ab", "é", "\ue000", "\U00010000", LAST_KEY]
"""In the order of S3, that of the bytes of UTF-8."""


@pytest.fixture
async def index(migrated: StoreOptions) -> AsyncIterator[ObjectIndex]:
    """The index of the test's schema."""
    index = ObjectIndex(migrated)
    yield index
    await index.close()


async def fill(database: Database, count: int, bucket: str = "bucket") -> None:
    """Keys of six digits, from 1."""
    await database.execute(
        "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time)"
        " SELECT $2, lpad(n::text, 6, '0'), '', 'present', 'A', 'e', now() FROM generate_series(1, $1::integer) AS n",
        count,
        bucket,
    )


async def read(index: ObjectIndex, keys: KeyRange, page_rows: int) -> list[list[IndexedVersion]]:
    """All pages of a range."""
    return [[*page] async for page in index.pages("bucket", keys, page_rows)]


async def test_rows_come_in_the_order_of_s3(index: ObjectIndex, store: PostgresStore) -> None:
    """With their whole content, of this bucket only, tombstones included."""
    rows = [row(key=key) for key in KEYS]
    rows += [row(key="b", version_id=version, state=state) for version, state in (("1", "removed"), ("2", "present"))]
    rows += [row(bucket="aaa", key="x"), row(bucket="bucket2", key="x")]
    await store.store(sorted(rows, key=lambda each: (each.bucket, each.key, each.version_id)))
    ours = sorted((each for each in rows if each.bucket == "bucket"), key=lambda each: (each.key, each.version_id))
    (page,) = await read(index, EVERYTHING, 100)
    assert [(each.key, each.version_id, each.state) for each in page] == [
        (each.key, each.version_id, each.state) for each in ours
    ]
    first, told = page[0], rows[0]
    assert (first.sequencer, first.size_bytes, first.etag) == (told.sequencer, told.size_bytes, told.etag)
    assert (first.event_time, first.ingested_at.tzinfo) == (told.event_time, UTC)


@pytest.mark.parametrize("page_rows", [1, 2, 3, 5, 100])
async def test_pages_of_any_size_lose_and_repeat_nothing(
    index: ObjectIndex, store: PostgresStore, page_rows: int
) -> None:
    """Also where a key's versions continue on the next page, or where the last page is full."""
    rows = [row(key=key, version_id=f"v{n}") for key in ("a", "b", "c") for n in range(2)]
    await store.store(rows)
    pages = await read(index, EVERYTHING, page_rows)
    assert [(each.key, each.version_id) for page in pages for each in page] == [(r.key, r.version_id) for r in rows]
    assert all(len(page) == page_rows for page in pages[:-1])


async def test_a_range_begins_after_one_key_and_ends_with_another(index: ObjectIndex, store: PostgresStore) -> None:
    """All versions of the first key are left out, and all of the last one are in."""
    await store.store([row(key=key, version_id=version) for key in "abcd" for version in ("", "v")])
    (page,) = await read(index, KeyRange("a", "c"), 100)
    assert [each.key for each in page] == ["b", "b", "c", "c"]
    assert await read(index, KeyRange("d", None), 100) == []


async def test_an_empty_range_is_told(index: ObjectIndex, store: PostgresStore) -> None:
    """A tombstone is a row."""
    await store.store([row(key="b", state="removed"), row(bucket="bucket2", key="x")])
    empty = {keys: await index.is_empty("bucket", KeyRange(*keys)) for keys in (("", "a"), ("a", "b"), ("b", None))}
    assert empty == {("", "a"): True, ("a", "b"): False, ("b", None): True}


@pytest.mark.parametrize("name", ["index_page", "index_start", "index_digest", "index_any"])
async def test_a_page_reads_only_its_own_part_of_the_table(
    migrated: StoreOptions, database: Database, name: str
) -> None:
    """Wherever in the bucket it is: with another form of the condition it reads everything before it."""
    await fill(database, 30_000)
    await database.execute("VACUUM ANALYZE object_versions")
    ends: dict[str, tuple[Any, ...]] = {
        "index_page": ("bucket", "029000", "", LAST_KEY, 100),
        "index_start": ("bucket", "029000", LAST_KEY, 100),
        "index_digest": ("bucket", "029000", "029100", SEPARATOR, 101),
        "index_any": ("bucket", "029000", LAST_KEY),
    }
    plan = await database.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement(name, migrated.schema)}", *ends[name]
    )
    top = json.loads(plan)[0]["Plan"]
    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 50


async def test_an_empty_range_is_told_without_statistics(migrated: StoreOptions, database: Database) -> None:
    """A first backfill runs before the first ANALYZE; the planner's guess would be to read the whole table."""
    await database.execute("ALTER TABLE object_versions SET (autovacuum_enabled = off)")
    await fill(database, 30_000)
    plan = await database.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement('index_any', migrated.schema)}", "bucket", "x", LAST_KEY
    )
    top = json.loads(plan)[0]["Plan"]
    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 50


def listed(event: ObjectEvent) -> ListedVersion:
    """The version as a listing shows it."""
    is_marker = event.state == "delete_marker"
    size, etag = (None, None) if is_marker else (event.size_bytes, event.etag)
    return ListedVersion(event.key, event.version_id, is_marker, False, 0, size, etag)


STACKS = [
    row(key="a", version_id="v2", sequencer="2", state="delete_marker", size_bytes=3, etag="x"),
    row(key="a", version_id="v1", sequencer="1"),
    row(key="b", version_id="v1", sequencer="3", size_bytes=2**40),
    row(key="b", version_id="v2", sequencer="2", size_bytes=0, etag="e"),
    row(key="b\x01é", version_id="", sequencer="2"),
]
"""As a listing shows them: each key's newest version first."""


async def matches(index: ObjectIndex, page: list[ListedVersion], keys: KeyRange = EVERYTHING) -> bool:
    """Whether the index has what the page lists."""
    digest = page_digest(page)
    assert digest is not None
    answer = await index.matches("bucket", keys, digest.separator, digest.versions, digest.digest)
    assert 0 < answer.seconds < 60  # by the clock of PostgreSQL
    return answer.is_equal


async def test_a_page_that_is_in_the_index_matches(index: ObjectIndex, store: PostgresStore) -> None:
    """Tombstones, other buckets and other ranges do not count, nor size and ETag of a delete marker."""
    others = [row(key="aa", state="removed"), row(key="c"), row(bucket="z", key="a")]
    await store.store(sorted([*STACKS, *others], key=lambda each: (each.bucket, each.key, each.version_id)))
    page = [listed(each) for each in STACKS]
    assert await matches(index, page, KeyRange("", "b\x01é"))
    assert not await matches(index, page, EVERYTHING)
    assert await matches(index, [], KeyRange("c", None))


CHANGES = [
    {"size_bytes": 9},
    {"etag": "other"},
    {"etag": None},
    {"version_id": "v9"},
    {"is_marker": True},
    {"key": "bb"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_a_page_with_any_difference_does_not_match(
    index: ObjectIndex, store: PostgresStore, change: dict[str, Any]
) -> None:
    """In any field, in the number of versions, or in their order alone."""
    await store.store(sorted(STACKS, key=lambda each: (each.key, each.version_id)))
    page = [listed(each) for each in STACKS]
    assert await matches(index, page)
    assert not await matches(index, [*page[:2], msgspec.structs.replace(page[2], **change), *page[3:]])
    assert not await matches(index, page[:-1])
    assert not await matches(index, [page[1], page[0], *page[2:]])


async def test_a_separator_in_the_index_makes_no_false_match(index: ObjectIndex, store: PostgresStore) -> None:
    """One row whose key imitates two listed versions."""
    page = [listed(row(key="a", etag="e")), listed(row(key="b", etag="e"))]
    imitation = page_text(page)[: -len(f"{SEPARATOR}{SEPARATOR}3{SEPARATOR}e{SEPARATOR}")]
    await store.store([row(key=imitation, etag="e")])
    ((found,),) = await read(index, EVERYTHING, 10)
    assert page_text([listed(row(key=found.key, etag="e"))]) == page_text(page)
    assert not await matches(index, page)


async def test_a_sample_divides_the_keys(index: ObjectIndex, database: Database) -> None:
    """Of a small table it is exact: four parts of a prefix, and the number of rows."""
    await fill(database, 2000)
    await fill(database, 500, "other")
    sample = await index.sample("bucket", "00", 4)
    assert (sample.quantiles, sample.versions) == (("000500", "001000", "001500"), 2000)
    assert (await index.sample("bucket", "0001", 4)).versions == 100
    assert await index.sample("nothing", "", 4) == (await index.sample("bucket", "x", 4))


async def test_a_sample_of_few_rows_gives_few_quantiles(index: ObjectIndex, database: Database) -> None:
    """At least thirty rows for each part."""
    await fill(database, 90)
    assert (await index.sample("bucket", "", 50)).quantiles == ("000029", "000060")


async def test_a_sample_of_a_large_table_is_about_right(
    index: ObjectIndex, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a fifth of the blocks, in any order of insertion."""
    monkeypatch.setattr("subscriber.adapters.postgres.object_index.SAMPLE_BLOCKS", 50)
    await database.execute(
        "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time)"
        " SELECT 'bucket', md5(n::text), '', 'present', 'A', 'e', now() FROM generate_series(1, 20000) AS n"
    )
    sample = await index.sample("bucket", "", 8)
    expected = [f"{32 * part:02x}" for part in range(1, 8)]
    assert len(sample.quantiles) == 7
    for found, right in zip(sample.quantiles, expected, strict=True):
        assert abs(int(found[:2], 16) - int(right, 16)) < 12
    assert 14_000 < sample.versions < 26_000


def test_a_sample_reads_a_bounded_number_of_blocks() -> None:
    """All of a small table, and 2,000 of a terabyte."""
    assert [sample_percent(blocks) for blocks in (0, 2000, 4000, 128_000_000)] == [100.0, 100.0, 50.0, 0.0015625]


@given(st.lists(st.text(max_size=2), max_size=30), st.integers(-1, 40))
def test_thinning_keeps_order_and_bound(keys: list[str], parts: int) -> None:
    """The result is a part of the keys, in their order, each once."""
    ordered = sorted(keys)
    found = thinned(ordered, parts)
    assert list(found) == sorted(set(found))
    assert set(found) <= set(ordered)
    assert len(found) == min(len(set(ordered)), max(0, parts - 1))
