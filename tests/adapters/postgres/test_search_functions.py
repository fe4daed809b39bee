"""What readers search with in SQL: the view `versions` and the functions beside it."""

from __future__ import annotations

import json
from random import Random
from typing import Any, TypeAlias

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.query.patterns import AFTER_ALL, prefix_end
from tests.adapters.postgres.object_rows import NOON, colliding_row, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ODD_KEYS = (
    "B",
    "a",
    "a%",
    "a_",
    "ab",
    "\ud7ff",
    "\ud7ffx",
    "\ue000",
    "\uffff",
    "😀",
    "😀a",
    "\U0010ffff",
    "\U0010ffffa",
)


async def test_versions_agree_with_objects(store: PostgresStore, database: Database) -> None:
    """For many keys with tied versions, the latest ones that are present are the rows of `objects`."""
    random = Random(12)
    await store.store([colliding_row(random, f"{number % 700}", f"v{number // 700}") for number in range(2800)])
    ours = await database.fetch(
        "SELECT key, version_id FROM versions WHERE is_latest AND state = 'present' ORDER BY key"
    )
    theirs = await database.fetch("SELECT key, version_id FROM objects ORDER BY key")
    assert ours == theirs
    assert len(ours) > 100


async def test_each_key_has_one_latest_version(store: PostgresStore, database: Database) -> None:
    """No more and no fewer, delete markers included; removed versions are not shown."""
    random = Random(13)
    await store.store([colliding_row(random, f"{number % 700}", f"v{number // 700}") for number in range(2800)])
    counts = await database.fetch("SELECT count(*) FILTER (WHERE is_latest) AS latest FROM versions GROUP BY key")
    assert {each["latest"] for each in counts} == {1}
    assert await database.fetchval("SELECT count(*) FROM versions WHERE state = 'removed'") == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6))
def test_prefix_end_is_above_all_keys_with_the_prefix(prefix: str) -> None:
    """It is above the prefix with anything behind it, and no greater than the first text above all those."""
    end = prefix_end(prefix)
    assert prefix.encode() < end.encode()
    assert all((prefix + tail).encode() < end.encode() for tail in ("", "a", "\U0010ffff" * 200))
    assert end == AFTER_ALL or not end.startswith(prefix) or not prefix


async def test_prefix_end_in_sql_is_that_of_python(migrated: object, database: Database) -> None:
    """Also beside the surrogates, which UTF-8 has not, and at the end of the code points."""
    prefixes = ["", "a", "raw/", "ä", *ODD_KEYS, "a\U0010ffff\U0010ffff"]
    rows = await database.fetch("SELECT prefix_end(p) FROM unnest($1::text[]) AS p", prefixes)
    assert [each[0] for each in rows] == [prefix_end(prefix) for prefix in prefixes]


@pytest.mark.parametrize("prefix", ["", "a", "a_", "\ud7ff", "😀", "\U0010ffff"])
async def test_a_prefix_finds_its_keys_and_no_others(store: PostgresStore, database: Database, prefix: str) -> None:
    """Whatever characters it has: nothing is a wildcard."""
    await store.store([row(key=key) for key in ODD_KEYS])
    found = await database.fetch("SELECT key FROM search_objects('bucket', prefix => $1) ORDER BY key", prefix)
    assert [each["key"] for each in found] == sorted(key for key in ODD_KEYS if key.startswith(prefix))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("prefix => 'b/'", "b/1.csv b/2.json"),
        ("suffix => '.csv'", "a/3.csv b/1.csv"),
        ("prefix => 'b/', suffix => '.csv'", "b/1.csv"),
        ("matching => '^./[12]'", "b/1.csv b/2.json"),
        ("larger_than => 1", "b/2.json a/3.csv"),
        ("larger_than => 1, smaller_than => 3", "b/2.json"),
        ("since => '2026-03-01 12:00:02+00'", "b/2.json a/3.csv"),
        ("since => '2026-03-01 12:00:02+00', before => '2026-03-01 12:00:03+00'", "b/2.json"),
    ],
)
async def test_conditions(store: PostgresStore, database: Database, condition: str, expected: str) -> None:
    """Each finds what it says, and all given hold at once."""
    keys = ["b/1.csv", "b/2.json", "a/3.csv"]
    times = [NOON.replace(second=number) for number in (1, 2, 3)]
    rows = [
        row(key=key, size_bytes=size, event_time=time) for key, size, time in zip(keys, (1, 2, 3), times, strict=True)
    ]
    await store.store([*rows, row(key="b/4.csv", state="removed"), row(bucket="other", key="b/1.csv")])
    found = await database.fetch(f"SELECT key FROM search_objects('bucket', {condition})")
    assert sorted(each["key"] for each in found) == sorted(expected.split())


async def test_keys_are_looked_up_in_their_order(store: PostgresStore, database: Database) -> None:
    """One row for each key that was asked for, twice where it was asked twice; a deleted one is not found."""
    await store.store([row(key="a", size_bytes=5), row(key="gone", state="removed"), row(bucket="other", key="b")])
    found = await database.fetch(
        "SELECT wanted, found, size_bytes FROM find_objects('bucket', $1)", ["b", "a", "gone", "a"]
    )
    assert [tuple(each) for each in found] == [
        ("b", False, None),
        ("a", True, 5),
        ("gone", False, None),
        ("a", True, 5),
    ]


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM find_objects('bucket', ARRAY['a', 'b'])",
        "SELECT * FROM search_objects('bucket', prefix => 'a/') ORDER BY key LIMIT 10",
        "SELECT v.* FROM (VALUES ('bucket', 'a')) AS wanted (bucket, key) JOIN versions AS v USING (bucket, key)",
    ],
)
async def test_a_plan_reads_the_primary_key_by_key(store: PostgresStore, database: Database, question: str) -> None:
    """Every access to the table is by a key or a range of keys: the functions are merged into the query."""
    await store.store([row(key=f"a/{number:04}") for number in range(2000)])
    await database.execute("ANALYZE object_versions")
    await database.execute("SET enable_seqscan = off")
    plan = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) {question}"))
    scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "object_versions"]
    assert len(scans) == 2
    assert all("(key " in node.get("Index Cond", "") for node in scans)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """All nodes of a plan."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


async def test_an_index_serves_a_search_and_its_order(store: PostgresStore, database: Database) -> None:
    """The largest objects come from the end of an index on sizes, without a sort of the table."""
    await store.store([row(key=f"a/{number:04}", size_bytes=number) for number in range(3000)])
    await database.execute("CREATE INDEX by_size ON object_versions (bucket, size_bytes) WHERE state <> 'removed'")
    await database.execute("ANALYZE object_versions")
    question = "SELECT key FROM search_objects('bucket', larger_than => 2500) ORDER BY size_bytes DESC LIMIT 5"
    plan = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) {question}"))
    kinds = {node["Node Type"]: node for node in nodes(plan[0]["Plan"])}
    assert "Sort" not in kinds
    assert any(node.get("Index Name") == "by_size" for node in nodes(plan[0]["Plan"]))
    found = [each["key"] for each in await database.fetch(question)]
    assert found == [f"a/{number:04}" for number in range(2999, 2994, -1)]
