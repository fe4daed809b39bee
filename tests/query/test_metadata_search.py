"""Searches by metadata in a real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.index_builds import IndexBuilds
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.query.indexes import CATALOG, relation_name
from subscriber.query.reader import Search
from subscriber.query.search_query import Order, Query, QueryError
from subscriber.query.token import query_digest
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

DOCUMENTS: dict[str, dict[str, object] | None] = {
    "csv": {"content_type": "text/csv", "tags": {"project": "x", "owner": "ann"}, "meta": {"owner": "bob"}},
    "json": {"content_type": "application/json", "tags": {"project": "y"}},
    "odd": {"tags": {"a.b=c": "'; --", "project": ""}},
    "plain": {},
    "unknown": None,
}


@pytest.fixture
async def search(migrated: StoreOptions, store: PostgresStore, database: Database) -> AsyncIterator[Search]:
    """Five objects, of four of which the metadata is known."""
    await Features(migrated).enable("enrichment", {})
    await store.store([row(key=key, version_id="", size_bytes=len(key)) for key in DOCUMENTS])
    for key, document in DOCUMENTS.items():
        if document is not None:
            text = "INSERT INTO object_metadata VALUES ('bucket', $1, '', $2)"
            await database.execute(text, key, msgspec.json.encode(document).decode())
    found = Search(migrated, clock=lambda: NOON)
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        (("tags.project=x",), "csv"),
        (("tags.project=x", "tags.owner=ann", "meta.Owner=bob"), "csv"),
        (("tags.project=x", "tags.project=y"), ""),
        (("content_type=application/json",), "json"),
        (("tags.project",), "csv json odd"),
        (("tags.project=",), "odd"),
        (("!tags.owner",), "json odd plain"),
        (("!tags.project=x", "tags.project"), "json odd"),
        (("!tags.project=x",), "json odd plain"),
        (("content_type",), "csv json"),
        (("!content_type",), "odd plain"),
        (("metadata",), "csv json odd plain"),
        (("!metadata",), "unknown"),
        (("!metadata", "!tags.owner"), ""),
        (("!metadata", "metadata"), ""),
        (("checksum.sha256",), ""),
    ],
)
@pytest.mark.parametrize("versions", [False, True])
async def test_conditions(search: Search, where: tuple[str, ...], keys: str, versions: bool) -> None:
    """All hold at once; a version without known metadata meets only the condition that asks for that."""
    page = await search.page(Query(bucket="bucket", where=where, versions=versions), 10)
    assert " ".join(found.key for found in page.rows) == keys


async def test_names_with_odd_characters(search: Search) -> None:
    """A name ends at the first equals sign, so this one is not found, and a value may contain anything."""
    assert (await search.page(Query(bucket="bucket", where=("tags.a.b=c='; --",)), 10)).rows == ()


@pytest.mark.parametrize("order", ["key", "size", "time"])
async def test_pages_go_on_by_a_token_of_the_same_conditions(search: Search, order: Order) -> None:
    """In any order of the conditions; another condition is another search."""
    query = Query(bucket="bucket", where=("tags.project", "metadata"), order=order)
    first = await search.page(query, 2)
    assert first.token is not None
    same = Query(bucket="bucket", where=("metadata", "tags.project", "metadata"), order=order)
    second = await search.page(same, 2, first.token)
    assert sorted(found.key for found in (*first.rows, *second.rows)) == ["csv", "json", "odd"]
    with pytest.raises(QueryError, match="belongs to another search"):
        await search.page(Query(bucket="bucket", where=("tags.owner",), order=order), 2, first.token)


def test_a_query_without_conditions_keeps_its_digest() -> None:
    """Tokens of the release before stay valid."""
    assert query_digest(Query(bucket="b", where=())) == query_digest(Query(bucket="b"))


async def test_an_index_is_offered_and_used(search: Search, migrated: StoreOptions, database: Database) -> None:
    """With some thousand versions PostgreSQL begins at the metadata."""
    many = "SELECT 'bucket', 'm' || n, '', jsonb_build_object('tags', jsonb_build_object('n', n::text))"
    await database.execute(f"INSERT INTO object_metadata {many} FROM generate_series(1, 5000) AS n")
    await database.execute(
        "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time) "
        "SELECT 'bucket', 'm' || n, '', 'present', '1', 'ObjectCreated:Put', now() FROM generate_series(1, 5000) AS n"
    )
    query = Query(bucket="bucket", where=("tags.n=77",))
    lines = await search.explain(query, 10)
    assert any("subscriber indexes create metadata" in line for line in lines)
    index = CATALOG["metadata"]
    assert await IndexBuilds(migrated).create(
        relation_name("metadata"), index.definition, lambda _: None, table=index.table
    )
    await database.execute("ANALYZE object_metadata, object_versions")
    lines = await search.explain(query, 10)
    assert "the index metadata" in lines[0]
    assert "metadata 'tags.n=77'" in lines[0]
    assert [found.key for found in (await search.page(query, 10)).rows] == ["m77"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tags",
        "tags.",
        "tags=x",
        "owner=x",
        "metadata=x",
        "content_type.x=1",
        "!",
        "tags.a\0=1",
        "tags.a=" + "x" * 5000,
    ],
)
def test_conditions_of_another_form_are_sentences(text: str) -> None:
    """With the form that is meant."""
    with pytest.raises(QueryError, match=r"^the condition .* is invalid: "):
        Query(bucket="b", where=(text,))


async def test_without_the_feature_nothing_is_known(search: Search, migrated: StoreOptions) -> None:
    """That is said, and no empty answer given."""
    await Features(migrated).disable("enrichment")
    with pytest.raises(QueryError, match="no metadata is kept: `subscriber features enable enrichment`"):
        await search.page(Query(bucket="bucket", where=("tags.owner",)), 10)
