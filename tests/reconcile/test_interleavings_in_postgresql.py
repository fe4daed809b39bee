"""Events and observations in any interleaving, through the real upsert into the real table and view."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import ListedVersion
from subscriber.reconcile.observation import REMOVED_FOR_GOOD, Moment, observed_events, observed_removal
from testkit.reconcile.claims import KINDS, Kind, broken_claims, bucket_of
from testkit.reconcile.interleaving import Interleaving, Mix
from testkit.reconcile.postgres_index import PostgresIndex
from tests.reconcile.samples import NOW, listed

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
MIXES = st.builds(Mix, steps=st.integers(1, 30), lost=st.sampled_from([0.0, 0.3]))

pytestmark = pytest.mark.usefixtures("untraced")


@given(random=st.randoms(use_true_random=False), kind=st.sampled_from(KINDS), mix=MIXES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_ends_as_the_bucket(
    store: PostgresStore, database: Database, random: Random, kind: Kind, mix: Mix
) -> None:
    """The guard of the upsert and the view keep the order that the model keeps."""
    await database.execute("TRUNCATE object_versions")

    bucket = bucket_of("lake", random, kind)
    index = PostgresIndex(store, database, bucket.name, lambda: bucket.now)
    mix = msgspec.structs.replace(mix, may_change_versioning=kind[1])
    assert await broken_claims(Interleaving(bucket, index, random, mix)) == []


async def test_observed_rows_fit_the_table(store: PostgresStore, database: Database) -> None:
    """Sequencers with trailing zeros, of a long stack, and of removals pass the checks of the columns."""
    stack = [msgspec.structs.replace(listed(f"v{number:05}"), key="long") for number in range(5_000)]
    round_second = Moment(0x6A000000 + 15)
    rows = [*observed_events("lake", stack, round_second), observed_removal("lake", "null", "", round_second)]
    rows.append(observed_removal("lake", "version", "v", round_second))
    assert await store.store(rows) == len(rows)
    kept = await database.fetch("SELECT key, sequencer FROM object_versions WHERE state = 'removed' ORDER BY key")
    assert [tuple(row) for row in kept] == [("null", "6A"), ("version", REMOVED_FOR_GOOD)]
    assert await database.fetchval("SELECT version_id FROM objects") == "v00000"


async def test_a_stack_is_shown_as_it_is_listed(store: PostgresStore, database: Database) -> None:
    """The view shows the version that S3 calls the latest, whatever LastModified says of it."""
    latest = ListedVersion("k", "latest", False, True, NOW - 9_000, 1, "e")
    older = ListedVersion("k", "older", False, False, NOW - 20, 2, "f")
    await store.store(sorted(observed_events("lake", [latest, older], Moment(NOW)), key=lambda row: row.version_id))
    assert await database.fetchval("SELECT version_id FROM objects") == "latest"
