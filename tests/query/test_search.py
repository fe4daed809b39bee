"""Searches in a real index: pages, streams, look-ups and explanations."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.index_builds import IndexBuilds
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from subscriber.model import DetailedEvent, ObjectEvent
from subscriber.query import reader as search_reader
from subscriber.query.indexes import CATALOG, relation_name
from subscriber.query.reader import Search, SearchTimeoutError, opened_search
from subscriber.query.search_query import Found, Looked, Order, Query, QueryError
from subscriber.query.statement import statement_of
from subscriber.query.token import Position
from tests.adapters.postgres.object_rows import NOON, row

FOLDERS = ("a", "b/c", "ä", "😀", "a%_")


@pytest.fixture
async def search(migrated: StoreOptions) -> AsyncIterator[Search]:
    """A search of the test's schema, whose clock stands at noon."""
    found = Search(migrated, clock=lambda: NOON)
    yield found
    await found.close()


def lake() -> list[ObjectEvent]:
    """300 objects whose sizes and times often tie, some of them deleted, with older versions."""
    random = Random(21)
    rows = [
        row(
            key=f"{FOLDERS[number % 5]}/{number:03}.{'csv' if number % 3 else 'json'}",
            version_id=f"v{version}" if number % 2 else "",
            state=random.choice(["present", "present", "delete_marker" if number % 2 else "removed"]),
            sequencer=f"{16 + version:X}".rstrip("0"),
            size_bytes=random.randrange(12),
            event_time=NOON - timedelta(hours=random.randrange(12), microseconds=random.randrange(3)),
        )
        for number in range(300)
        for version in range(random.choice([1, 1, 3]))
    ]
    return list({(each.key, each.version_id): each for each in rows}.values())


async def pages(search: Search, query: Query, at_most: int) -> list[Found]:
    """All pages of a query, one by one."""
    page = await search.page(query, at_most)
    found = list(page.rows)
    while page.token is not None:
        assert len(page.rows) == at_most
        page = await search.page(query, at_most, page.token)
        found += page.rows
    return found


async def streamed(search: Search, query: Query, at_most: int | None = None) -> list[Found]:
    """All rows of a query at once."""
    return [found async for batch in search.batches(query, at_most) for found in batch]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("order", ["key", "size", "time"])
@pytest.mark.parametrize("versions", [False, True])
async def test_pages_are_the_stream(
    store: PostgresStore, search: Search, monkeypatch: pytest.MonkeyPatch, order: Order, versions: bool, reverse: bool
) -> None:
    """However they are cut, pages give each row once, in the order asked for, though many tie; so do small batches."""
    await store.store(lake())
    query = Query(bucket="bucket", order=order, versions=versions, reverse=reverse)
    whole = await streamed(search, query)
    assert await pages(search, query, 7) == await pages(search, query, 100) == whole
    monkeypatch.setattr(search_reader, "PAGE_ROWS", 11)
    assert await streamed(search, query) == whole
    assert await streamed(search, query, 50) == whole[:50]
    column = {"key": "key", "size": "size_bytes", "time": "event_time"}[order]
    values = [getattr(each, column).encode() if order == "key" else getattr(each, column) for each in whole]
    assert values == sorted(values, reverse=(order != "key") != reverse)
    assert len({(each.key, each.version_id) for each in whole}) == len(whole) > 150


async def test_storage_classes_are_searched_and_shown(store: PostgresStore, search: Search) -> None:
    """Any of those that are named; an object whose class nobody named is found without the condition only."""
    classes = {"a": "GLACIER", "b": "STANDARD", "c": "DEEP_ARCHIVE", "d": None}
    for key, storage_class in classes.items():
        await store.store([DetailedEvent(**msgspec.structs.asdict(row(key=key)), storage_class=storage_class)])
    cold = Query(bucket="bucket", storage_classes=("GLACIER", "DEEP_ARCHIVE"))
    assert [(each.key, each.storage_class) for each in await streamed(search, cold)] == [
        ("a", "GLACIER"),
        ("c", "DEEP_ARCHIVE"),
    ]
    assert await pages(search, cold, 1) == await streamed(search, cold)
    assert {each.key: each.storage_class for each in await streamed(search, Query(bucket="bucket"))} == classes
    assert any("storage class 'GLACIER' or 'DEEP_ARCHIVE'" in line for line in await search.explain(cold, 10, None))


async def test_objects_are_those_of_the_view(
    store: PostgresStore, search: Search, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """With `versions` those that are the latest and present."""
    await store.store(lake())
    expected = [each["key"] for each in await database.fetch("SELECT key FROM objects ORDER BY key")]
    assert [each.key for each in await streamed(search, Query(bucket="bucket"))] == expected
    every = await streamed(search, Query(bucket="bucket", versions=True))
    assert [each.key for each in every if each.is_latest and each.state == "present"] == expected
    assert {each.state for each in every} == {"present", "delete_marker"}


async def test_a_page_near_the_end_of_a_prefix_sorts_no_more_than_itself(
    store: PostgresStore, migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Whatever is left of it: PostgreSQL plans for the rows of the page."""
    await store.store([row(key=f"a/{number:05}") for number in range(20_000)])
    await database.execute("ANALYZE object_versions")
    async with opened_search(migrated) as search:
        for last in ("a/00100", "a/10000", "a/18500"):
            statement = statement_of(
                Query(bucket="bucket", prefix="a/"), migrated.schema, NOON, Position(last, ""), 500
            )
            plan = str(await search._reader.plan(statement.text, statement.parameters))
            assert "'Incremental Sort'" in plan
            assert "'Sort'" not in plan


@pytest.mark.parametrize(
    ("conditions", "keeps"),
    [
        ({"prefix": "a/"}, lambda each: each.key.startswith("a/")),
        ({"prefix": "a%_/"}, lambda each: each.key.startswith("a%_/")),
        ({"prefix": "😀"}, lambda each: each.key.startswith("😀")),
        ({"suffix": ".csv"}, lambda each: each.key.endswith(".csv")),
        ({"prefix": "ä/", "suffix": "2.csv"}, lambda each: re.fullmatch(r"ä/.*2\.csv", each.key)),
        ({"glob": "*/?0*.json"}, lambda each: re.fullmatch(r"[^/]*/[^/]0[^/]*\.json", each.key)),
        ({"prefix": "b/", "glob": "**/*[13579].csv"}, lambda each: re.fullmatch(r"b/.*[13579]\.csv", each.key)),
        ({"glob": "a%_/***.csv"}, lambda each: re.fullmatch(r"a%_/.*\.csv", each.key)),
        ({"regex": r"^b/c/0\d"}, lambda each: re.match(r"b/c/0\d", each.key)),
        ({"regex": "csv"}, lambda each: "csv" in each.key),
        ({"larger_than_bytes": 3, "smaller_than_bytes": 6}, lambda each: 3 < each.size_bytes < 6),
        ({"since": timedelta(hours=3)}, lambda each: each.event_time >= NOON - timedelta(hours=3)),
        ({"since": NOON - timedelta(hours=3)}, lambda each: each.event_time >= NOON - timedelta(hours=3)),
        ({"until": timedelta(hours=3)}, lambda each: each.event_time < NOON - timedelta(hours=3)),
    ],
)
@pytest.mark.parametrize("order", ["key", "size"])
async def test_conditions(
    store: PostgresStore, search: Search, conditions: dict[str, Any], keeps: Any, order: Order
) -> None:
    """Each keeps what Python would keep of all rows."""
    await store.store(lake())
    expected = [each for each in await streamed(search, Query(bucket="bucket", order=order)) if keeps(each)]
    assert expected
    assert await pages(search, Query(bucket="bucket", order=order, **conditions), 9) == expected


async def test_a_page_in_the_middle_begins_at_its_place(store: PostgresStore, migrated: StoreOptions) -> None:
    """The position is part of the condition of the index, so page 1,000 costs no more than page 1."""
    await store.store([row(key=f"a/{number:04}") for number in range(3000)])
    async with opened_search(migrated) as search:
        query = Query(bucket="bucket", prefix="a/")
        token = (await search.page(query, 2000)).token
        lines = await search.explain(query, 100, token)
        statement = statement_of(query, migrated.schema, NOON, Position("a/1999", ""), 100)
        plan = str(await search._reader.plan(statement.text, statement.parameters))
    assert "keys that begin with 'a/'" in lines[0]
    assert "sorts" not in "".join(lines)
    assert "takes the newest version of each key from those side by side" in lines
    assert "(key > 'a/1999'::text)" in plan.partition("Index Cond")[2].partition("Filter")[0]


async def test_one_literal_glob_is_one_key(store: PostgresStore, search: Search) -> None:
    """Prefix and glob together name it."""
    await store.store([row(key="a/b"), row(key="a/bc")])
    assert [each.key for each in await streamed(search, Query(bucket="bucket", prefix="a/", glob="b"))] == ["a/b"]


async def test_keys_are_looked_up(store: PostgresStore, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in several calls; keys that no index can hold do not exist."""
    monkeypatch.setattr(search_reader, "KEYS_PER_LOOK_UP", 2)
    await store.store([row(key="a", etag="x"), row(key="gone", state="removed")])
    keys = ["\0", "b", "a", "gone", "a", "\ud800", "k" * 2000]
    found = await search.look_up("bucket", keys)
    there = Looked("bucket", "a", exists=True, version_id="", size_bytes=3, etag="x", event_time=NOON)
    assert found == [there if key == "a" else Looked("bucket", key, exists=False) for key in keys]
    assert await search.look_up("\0", ["a"]) == [Looked("\0", "a", exists=False)]


@pytest.fixture
async def analyzed(store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]) -> None:
    """3,000 objects, each with another size and time, and the statistics of them."""
    rows = [
        row(key=f"a/{n:04}.csv", size_bytes=n, event_time=NOON - timedelta(minutes=n, seconds=1)) for n in range(3000)
    ]
    await store.store(rows)
    await database.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA pg_catalog; ANALYZE object_versions")


@pytest.mark.usefixtures("analyzed")
@pytest.mark.parametrize(
    ("index", "query", "expected"),
    [
        ("size", Query(bucket="bucket", larger_than_bytes=2990), "larger than 2990 bytes"),
        ("size", Query(bucket="bucket", order="size"), "bucket 'bucket'"),
        ("time", Query(bucket="bucket", since=timedelta(minutes=1)), "not older than 2026-03-01 11:59:00 UTC"),
        ("suffix", Query(bucket="bucket", suffix="77.csv"), "keys that end with '77.csv'"),
        ("suffix", Query(bucket="bucket", glob="*/*77.csv"), "keys that end with '77.csv'"),
        ("pattern", Query(bucket="bucket", regex="/2997[.]csv"), "regular expression '/2997[.]csv'"),
    ],
)
async def test_an_optional_index_is_used_and_said(
    search: Search,
    migrated: StoreOptions,
    database: asyncpg.Connection[asyncpg.Record],
    index: str,
    query: Query,
    expected: str,
) -> None:
    """Before it is there, the explanation offers it; then it names it and what it answers. The rows are the same."""
    before = await streamed(search, query, 100)
    offered = "\n".join(await search.explain(query, 100))
    assert f"subscriber indexes create {index}" in offered
    builds, entry = IndexBuilds(migrated), CATALOG[index]
    await builds.create(relation_name(index), entry.definition, lambda _: None, extension=entry.extension)
    await database.execute("ANALYZE object_versions")
    lines = await search.explain(query, 100)
    assert lines[0].startswith(f"reads the index {index}, and of it only the part with: ")
    assert expected in lines[0]
    assert await streamed(search, query, 100) == before


async def test_an_invalid_regular_expression_is_a_sentence(search: Search) -> None:
    """PostgreSQL's own reason is part of it."""
    with pytest.raises(QueryError, match=r"rejects the glob or regular expression: .*parentheses"):
        await search.page(Query(bucket="bucket", regex="("), 1)


async def test_a_search_that_takes_too_long_is_a_sentence(
    migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The server stops it, here while it waits for a lock; the sentence says what to try."""
    async with database.transaction(), opened_search(migrated, timeout_seconds=2.0) as search:
        await database.execute("LOCK TABLE object_versions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SearchTimeoutError, match=r"longer than 2 s: narrow it by a prefix"):
            await search.page(Query(bucket="bucket"), 1)


async def test_a_session_cannot_write(migrated: StoreOptions, search: Search) -> None:
    """Whatever statement it would run."""
    with pytest.raises(StoreError, match="read-only transaction"):
        await search._reader.fetch("CREATE TEMPORARY TABLE x ()", ())
