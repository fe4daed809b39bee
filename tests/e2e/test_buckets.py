"""`subscriber buckets` beside the real daemon: what events alone tell of a bucket, and what a backfill adds."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import datetime
from typing import Any

import pytest

from testkit.s3.generated import GeneratedPlan
from testkit.s3.launch import ListingServer
from testkit.s3.raw_client import RawS3
from tests.e2e.environment import RunContext, until
from tests.e2e.reconcile_runs import ReconcileRuns, event_now
from tests.fixtures.s3 import MakeBucket

BEFORE = 49
BODY = b"12345"
JSON = ("--format", "json")


@pytest.fixture
async def runs(context: RunContext, listing_server: ListingServer) -> ReconcileRuns:
    """Commands on migrated tables."""
    made = ReconcileRuns(context, listing_server)
    await made.migrate()
    return made


async def known(runs: ReconcileRuns) -> list[dict[str, Any]]:
    """What `subscriber buckets` prints as JSON."""
    ended = await runs.run("buckets", *JSON)
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_a_bucket_is_known_in_part_until_it_is_filled(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Of 51 objects events tell of 2: it says so, and what to run; after that it is complete."""
    assert await known(runs) == []
    spec = serve_bucket()
    with RawS3(runs.server.endpoint_url) as s3:
        for number in range(BEFORE):
            s3.call("PUT", f"{spec.name}/old-{number}", body=BODY)
        new = {key: s3.call("PUT", f"{spec.name}/{key}", body=BODY).headers for key in ("new-1", "new-2")}
    runs.subscribe(spec.name)
    with runs.context.daemon(BUCKETS=spec.name) as daemon:
        await until(lambda: math.isnan(daemon.metric("subscriber_youngest_event_age_seconds", bucket=spec.name)))
        bodies = [event_now(spec.name, key, BODY, headers["etag"].strip('"')) for key, headers in new.items()]
        runs.context.send(bodies)
        await runs.context.until_empty()
        await asyncio.to_thread(daemon.stop)  # which notes what is left
        assert daemon.events("buckets.not_noted") == []
    assert len(await runs.objects(spec.name)) == 2
    (told,) = await known(runs)
    assert (told["bucket"], told["kind"], told["event_rows"]) == (spec.name, "events_only", 2)
    times = [datetime.fromisoformat(json.loads(body)["Records"][0]["eventTime"]) for body in bodies]
    assert [datetime.fromisoformat(told[f"{each}_event_time"]) for each in ("oldest", "youngest")] == times
    stored = [datetime.fromisoformat(told[each]) for each in ("events_since", "last_stored_at", "events_noted_since")]
    assert stored == sorted(stored)
    since = told["events_since"][:19].replace("T", " ")
    shown = await runs.run("buckets")
    expected = f"only events since {since}; nothing from before; run `subscriber backfill s3://{spec.name}`\n"
    assert shown.out.endswith(expected), shown.out
    assert (await runs.run("backfill", f"s3://{spec.name}", "--grace", "0")).code == 0
    assert len(await runs.objects(spec.name)) == BEFORE + 2
    (told,) = await known(runs)
    assert (told["kind"], told["missing"], told["repaired"], told["event_rows"]) == ("complete", BEFORE, True, 2)
    assert told["complete_since"] == told["compared_at"] is not None
    assert (
        f"by job {told['compared_by_job']}: {BEFORE} differences ({BEFORE} missing), {BEFORE} rows written"
        in told["sentence"]
    )


async def test_what_a_comparison_found_is_told(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """A bucket that is named in the settings is listed before anything is known of it."""
    spec = serve_bucket(generated=GeneratedPlan(keys=5, is_versioned=False))
    runs.subscribe(spec.name)
    runs.changed = {"SUBSCRIBER_BUCKETS": spec.name}
    (told,) = await known(runs)
    assert (told["kind"], told["has_rows"]) == ("unknown", False)
    assert (await runs.run("backfill", f"s3://{spec.name}")).code == 0
    await runs.execute("DELETE FROM object_versions WHERE key = (SELECT min(key) FROM object_versions)")
    assert (await runs.run("reconcile", f"s3://{spec.name}", "--grace", "1")).code == 10
    (told,) = await known(runs)
    assert (told["kind"], told["complete_since"], told["repaired"]) == ("differs", None, False)
    assert told["sentence"].startswith("incomplete; compared ")
    assert told["sentence"].endswith(
        f": 1 difference (1 missing), not repaired; run `subscriber reconcile --repair s3://{spec.name}`"
    )
