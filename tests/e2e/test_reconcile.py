"""`subscriber backfill` and `reconcile` as real processes: the listing server, real PostgreSQL, hostile keys."""

from __future__ import annotations

from typing import Any

import pytest

from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.e2e.environment import RunContext
from tests.e2e.reconcile_runs import ReconcileRuns
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=3_000, layout="mixed", keys_per_block=100, deep_versions=250)


@pytest.fixture
async def runs(context: RunContext, listing_server: ListingServer) -> ReconcileRuns:
    """Commands on migrated tables."""
    made = ReconcileRuns(context, listing_server)
    await made.migrate()
    return made


def truth(plan: GeneratedPlan) -> list[tuple[Any, ...]]:
    """The rows that a generated bucket must have."""
    return sorted(
        (
            entry.key.decode(),
            "" if entry.version_id == "null" else entry.version_id,
            "delete_marker" if entry.is_marker else "present",
            None if entry.is_marker else entry.size_bytes,
            None if entry.is_marker else entry.etag,
        )
        for entry in GeneratedBucket(plan).entries(is_versions=True)
    )


async def test_a_bucket_that_was_there_first_becomes_an_equal_view(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """Hostile keys, deep stacks and delete markers; then events are lost, and exactly those are found and mended."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    runs.subscribe(spec.name)
    place = f"s3://{spec.name}"
    filled = await runs.run("backfill", place, "--format", "json")
    assert (filled.code, filled.report["state"]) == (0, "succeeded"), filled.err
    expected = truth(PLAN)
    assert await runs.versions(spec.name) == expected
    assert filled.report["counters"]["written"] == filled.report["counters"]["missing"] == len(expected)
    clean = await runs.run("reconcile", place, "--grace", "0", "--format", "json")
    assert (clean.code, clean.report["drift"]) == (0, False), clean.out
    assert clean.report["counters"]["listed"] == len(expected)
