"""The view `objects`: the existing objects, derived from the versions, with fast pages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random
from typing import Any, TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import ObjectEvent
from tests.adapters.postgres.object_rows import NOON, colliding_row, row
from tests.fakes.store import order_of, version_of

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PRESENT, MARKER, REMOVED = "present", "delete_marker", "removed"


def _visible(events: Iterable[ObjectEvent]) -> set[tuple[str, str, str]]:
    """The view's rule in Python: per key the newest version that is not removed, if its state is `present`."""
    newest: dict[tuple[str, str], ObjectEvent] = {}
    for event in events:
        if event.state != REMOVED:
            held = newest.get((event.bucket, event.key), event)
            newer = max(held, event, key=lambda e: (order_of(e), e.version_id))
            newest[event.bucket, event.key] = newer
    return {version_of(event) for event in newest.values() if event.state == PRESENT}


@pytest.mark.parametrize(
    ("versions", "visible"),
    [
        pytest.param([("", PRESENT, "1")], "", id="an unversioned object is there"),
        pytest.param([("", REMOVED, "2")], None, id="a removed one is not"),
        pytest.param([("v1", PRESENT, "1"), ("v2", PRESENT, "2")], "v2", id="the newest version counts"),
        pytest.param([("v1", PRESENT, "1"), ("v2", MARKER, "2")], None, id="a delete marker hides"),
        pytest.param([("v1", PRESENT, "1"), ("v2", REMOVED, "3")], "v1", id="a marker removed: undelete"),
        pytest.param([("v1", REMOVED, "3"), ("v2", PRESENT, "2")], "v2", id="an old version gone for good"),
        pytest.param([("v1", PRESENT, "1"), ("v2", REMOVED, "3")], "v1", id="the newest version gone for good"),
        pytest.param(
            [("v1", PRESENT, "1"), ("v2", MARKER, "2"), ("v3", PRESENT, "3")], "v3", id="written anew over a marker"
        ),
        pytest.param([("v1", REMOVED, "2"), ("v2", REMOVED, "3")], None, id="all versions gone"),
        pytest.param([("", PRESENT, "3"), ("v1", PRESENT, "2")], "", id="the null version written last"),
        pytest.param([("v1", PRESENT, "2"), ("v2", PRESENT, "2")], "v2", id="a tie: the larger version id"),
        pytest.param([("v1", MARKER, "2"), ("v2", PRESENT, "2")], None, id="a tie: the marker is newer"),
    ],
)
async def test_the_visible_version(
    store: PostgresStore, database: Database, versions: list[tuple[str, str, str]], visible: str | None
) -> None:
    """For each key the view shows the newest version that is not removed, unless it is a delete marker."""
    events = [row(version_id=v, state=state, sequencer=sequencer) for v, state, sequencer in versions]
    await store.store(events)
    found = [record["version_id"] for record in await database.fetch("SELECT version_id FROM objects")]
    assert found == ([] if visible is None else [visible])


async def test_the_view_agrees_with_the_order_of_events(store: PostgresStore, database: Database) -> None:
    """For many keys with tied versions the view shows the last one in the order of events."""
    random = Random(11)
    events = [colliding_row(random, f"{n % 700}", f"v{n // 700}") for n in range(2800)]
    await store.store(events)
    found = await database.fetch("SELECT bucket, key, version_id FROM objects")
    assert {tuple(record) for record in found} == _visible(events)
    assert len(found) > 100


async def test_keys_come_in_the_order_of_s3(store: PostgresStore, database: Database) -> None:
    """Keys sort by their UTF-8 bytes, as S3 lists them, whatever the locale of the database."""
    keys = ["B", "a", "Z", "_", "ä", "z", "😀", "\uffff", "a/", "a-", "a/b"]
    await store.store([row(key=key) for key in keys])
    found = [record["key"] for record in await database.fetch("SELECT key FROM objects ORDER BY key")]
    assert found == sorted(keys, key=str.encode)


@pytest.fixture
async def crowded(store: PostgresStore, database: Database) -> Database:
    """Fifty thousand versions of thirty thousand keys under three hundred prefixes, with statistics."""
    await database.execute(
        """INSERT INTO object_versions
               (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
           SELECT 'bucket', format('p%s/%s', n % 300, lpad((n % 30000)::text, 6, '0')), format('v%s', n / 30000),
                  CASE WHEN n % 11 = 0 THEN 'removed' WHEN n % 7 = 0 THEN 'delete_marker' ELSE 'present' END,
                  '69A42D40' || upper(to_hex(n * 16 + 1)), 'ObjectCreated:Put', $1, n, 'etag'
           FROM generate_series(0, 49999) AS n""",
        NOON,
    )
    await database.execute("VACUUM ANALYZE object_versions")
    return database


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


async def _explain(database: Database, query: str, *arguments: object) -> list[dict[str, Any]]:
    text = await database.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
    return _nodes(json.loads(text)[0]["Plan"])


PAGE = """SELECT * FROM objects WHERE bucket = $1 AND {condition} ORDER BY key LIMIT 50"""


@pytest.mark.parametrize(
    ("condition", "arguments"),
    [
        pytest.param("key >= $2 AND key < $3", ("p17/", "p170"), id="range"),
        pytest.param("key LIKE 'p17/%'", (), id="LIKE"),
    ],
)
async def test_a_page_of_a_prefix_reads_the_primary_key(
    crowded: Database, condition: str, arguments: tuple[str, ...]
) -> None:
    """A page of a prefix scans only its range of the primary key, and sorts only the versions of single keys."""
    nodes = await _explain(crowded, PAGE.format(condition=condition), "bucket", *arguments)
    kinds = {node["Node Type"] for node in nodes}
    scans = [node for node in nodes if "Scan" in node["Node Type"] and "Relation Name" in node]
    assert [node.get("Index Name") for node in scans] == ["object_versions_pkey"]
    assert "Sort" not in kinds
    assert scans[0]["Actual Rows"] < 200


async def test_one_object_is_read_by_its_key(crowded: Database) -> None:
    """Reading one key touches a few pages."""
    query = "SELECT * FROM objects WHERE bucket = $1 AND key = $2"
    nodes = await _explain(crowded, query, "bucket", "p17/000017")
    scans = [node for node in nodes if "Scan" in node["Node Type"] and "Relation Name" in node]
    assert [node.get("Index Name") for node in scans] == ["object_versions_pkey"]
    assert nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"] < 12
