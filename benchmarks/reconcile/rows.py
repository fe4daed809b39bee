"""The rows that a generated bucket must have in the index, filled by COPY, and drift that is planted among them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, Literal, TypeAlias

import asyncpg
import msgspec

from benchmarks.reconcile.changes import LiveKeys
from benchmarks.reconcile.parts import BUCKET, TABLE
from subscriber.reconcile.observation import Moment, observed_events
from testkit.s3.entries import Entry, listed_version
from testkit.s3.generated import GeneratedBucket, GeneratedPlan

Drift: TypeAlias = Literal["missing", "ghost", "stale"]
DRIFTS: Final[tuple[Drift, ...]] = ("missing", "ghost", "stale")
KEYS_PER_DRIFT: Final = 1_000
"""One key of so many differs: 0.1 %, evenly spread, so that about every page has one."""
GHOST: Final = "~ghost"
"""Follows a key of the bucket in the key of a ghost."""
_BEFORE_SECONDS: Final = 86_400
_COLUMNS: Final = (
    "bucket", "key", "version_id", "state", "sequencer", "event_name", "event_time", "size_bytes", "etag", "ingested_at"
)  # fmt: skip
_STEPS: Final = 5
_STEP_KEYS: Final = 19
"""Where a key cannot differ, one that lies so many keys before it does, so that no two of so many rounds have the same
key. Odd, since every second key of some blocks changes."""

_PLANT: Final[dict[Drift, str]] = {
    "missing": f"DELETE FROM {TABLE} AS stored USING planted WHERE {{same}}",
    "ghost": f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) SELECT stored.bucket, stored.key || '{GHOST}' || $4::text, "
    "stored.version_id, 'present', sequencer, event_name, event_time, size_bytes, etag, ingested_at "
    f"FROM {TABLE} AS stored JOIN planted ON {{same}}",
    "stale": f"UPDATE {TABLE} AS stored SET etag = 'stale', size_bytes = size_bytes + 1 FROM planted WHERE {{same}}",
}
_SAME: Final = "stored.bucket = $1 AND stored.key = planted.key AND stored.version_id = planted.version_id"
_WITH: Final = "WITH planted AS (SELECT * FROM unnest($2::text[], $3::text[]) AS given (key, version_id)) "
_REPAIRED: Final[dict[Drift, str]] = {
    "missing": "stored.key = given.key AND state = 'present'",
    "ghost": f"stored.key = given.key || '{GHOST}' || $5::text AND state = 'removed'",
    "stale": "stored.key = given.key AND state = 'present'",
}


class Planted(msgspec.Struct):
    """Versions that are made to differ: the newest of their keys, none of them a delete marker."""

    keys: list[str] = []
    version_ids: list[str] = []
    etags: list[str] = []


async def fill(database_url: str, plan: GeneratedPlan) -> int:
    """COPY the rows of a bucket into the empty index, as a listing a day ago would have told them; how many.

    Raises:
        asyncpg.PostgresError: the table has rows of it already.
    """
    moment = Moment(int(time.time()) - _BEFORE_SECONDS)
    connection = await asyncpg.connect(database_url)
    try:
        schema, _, table = TABLE.partition(".")
        done = await connection.copy_records_to_table(
            table, schema_name=schema, columns=_COLUMNS, records=_records(plan, moment)
        )
        await connection.execute(f"VACUUM (ANALYZE) {TABLE}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return int(done.split()[-1])


def _records(plan: GeneratedPlan, moment: Moment) -> Iterator[tuple[object, ...]]:
    # A row that has just come is not judged within the grace.
    ingested_at = datetime.fromtimestamp(moment.server_time, UTC)
    for stack in _stacks(plan):
        listed = [listed_version(entry, is_versions=True) for entry in stack]
        for event in observed_events(BUCKET, listed, moment):
            yield *msgspec.structs.astuple(event)[: len(_COLUMNS) - 1], ingested_at


def _stacks(plan: GeneratedPlan) -> Iterator[list[Entry]]:
    entries = GeneratedBucket(plan).entries(is_versions=True)
    return (list(stack) for _, stack in groupby(entries, key=lambda entry: entry.key))


def chosen(
    plan: GeneratedPlan, live: LiveKeys, round_number: int, keys_per_drift: int = KEYS_PER_DRIFT
) -> dict[Drift, Planted]:
    """What is to differ in a round: no key that changes, and no key of the round before."""
    planted: dict[Drift, Planted] = {drift: Planted([], [], []) for drift in DRIFTS}
    bucket, number = GeneratedBucket(plan), 0
    for first in range(0, plan.keys - keys_per_drift + 1, keys_per_drift):
        last = first + keys_per_drift - 1 - round_number % _STEP_KEYS
        candidates = (last - _STEP_KEYS * step for step in range(_STEPS))
        tops = (bucket.stack(place)[0] for place in candidates if place >= first and not live.has(place))
        entry = next((top for top in tops if not top.is_marker), None)
        if entry is not None:
            top = listed_version(entry, is_versions=True)
            here = planted[DRIFTS[number % len(DRIFTS)]]
            here.keys.append(top.key)
            here.version_ids.append(top.version_id)
            here.etags.append(top.etag or "")
            number += 1
    return planted


async def plant(database_url: str, planted: dict[Drift, Planted], round_number: int) -> None:
    """Let the index differ.

    Raises:
        AssertionError: the index was not equal to the bucket.
    """
    connection = await asyncpg.connect(database_url)
    try:
        for drift, each in planted.items():
            parameters: Sequence[object] = (BUCKET, each.keys, each.version_ids)
            parameters = (*parameters, f"{round_number:04}") if drift == "ghost" else parameters
            done = await connection.execute(_WITH + _PLANT[drift].format(same=_SAME), *parameters)
            assert int(done.split()[-1]) == len(each.keys), f"{drift}: {done} of {len(each.keys)}"
    finally:
        await connection.close()


async def unrepaired(database_url: str, planted: dict[Drift, Planted], round_number: int) -> int:
    """How many of the planted versions the index still has wrong."""
    connection = await asyncpg.connect(database_url)
    wrong = 0
    try:
        for drift, each in planted.items():
            with_etag = "" if drift == "ghost" else "AND stored.etag = given.etag"
            query = (
                f"SELECT count(*) FROM {TABLE} AS stored JOIN unnest($2::text[], $3::text[], $4::text[]) "
                "AS given (key, version_id, etag) ON stored.version_id = given.version_id "
                f"AND {_REPAIRED[drift]} {with_etag} WHERE stored.bucket = $1"
            )
            parameters: Sequence[object] = (BUCKET, each.keys, each.version_ids, each.etags)
            parameters = (*parameters, f"{round_number:04}") if drift == "ghost" else parameters
            wrong += len(each.keys) - int(await connection.fetchval(query, *parameters))
    finally:
        await connection.close()
    return wrong
