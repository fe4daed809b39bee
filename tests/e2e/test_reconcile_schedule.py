"""The daemon compares its buckets with the index on a schedule: the listing server, real PostgreSQL, real processes."""

from __future__ import annotations

import asyncio
import time

import pytest

from subscriber.errors import ExitCode
from testkit.s3.faults import Fault
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.e2e.environment import RunContext, until
from tests.e2e.reconcile_runs import ReconcileRuns
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=600)
VERSIONS = sum(1 for _ in GeneratedBucket(PLAN).entries(is_versions=True))
OFTEN = 0.01
"""Hours: once in 36 seconds, and the first time at once."""


@pytest.fixture
async def runs(context: RunContext, listing_server: ListingServer) -> ReconcileRuns:
    """Commands on migrated tables."""
    made = ReconcileRuns(context, listing_server)
    await made.migrate()
    return made


def settings(runs: ReconcileRuns, **changed: object) -> dict[str, str]:
    """The environment of a daemon with a schedule."""
    scheduled = runs.context.environment(RECONCILE_EVERY_HOURS=OFTEN, **changed)
    return scheduled | {"AWS_ENDPOINT_URL_S3": runs.server.endpoint_url}


async def test_a_daemon_fills_its_bucket_and_two_daemons_agree_on_the_drift(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """With repair an empty index becomes equal to the bucket; both daemons show what was found and when."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    runs.subscribe(spec.name)
    environment = settings(runs, BUCKETS=spec.name, RECONCILE_REPAIR="true")
    began_at = time.time()
    with runs.context.daemon_with(environment) as first, runs.context.daemon_with(environment) as second:
        daemons = (first, second)
        await until(
            lambda: all(
                each.metric("subscriber_drift_objects", bucket=spec.name, kind="missing") == VERSIONS
                for each in daemons
            )
        )
        assert len(await runs.versions(spec.name)) == VERSIONS
        ages = [each.metric("subscriber_reconcile_age_seconds", bucket=spec.name) for each in daemons]
        assert all(0 <= age <= time.time() - began_at for age in ages)
        assert sum(each.metric("subscriber_reconcile_versions_total") for each in daemons) == VERSIONS
        assert sum(each.metric("subscriber_reconcile_rows_total") for each in daemons) == VERSIONS
        assert sum(len(each.events("reconcile.finished")) for each in daemons) == 1
    (job,) = await runs.context.fetch("SELECT created_by, state FROM jobs")
    assert job["created_by"].startswith("schedule of ")
    assert job["state"] == "succeeded"


async def test_a_stop_in_the_middle_gives_the_range_back(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """The daemon ends as quickly as ever, and the next one goes on with the job at the page where it stopped."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    runs.subscribe(spec.name)
    runs.server.add_faults(
        *(Fault("delay", operation=f"ListObject{kind}", seconds=300, skip=3) for kind in ("Versions", "sV2"))
    )
    environment = settings(runs, BUCKETS=spec.name, RECONCILE_REPAIR="true")
    with runs.context.daemon_with(environment) as daemon:
        daemon.wait_for("reconcile.started")
        async with asyncio.timeout(60):
            while not await runs.versions(spec.name):  # noqa: ASYNC110 – the condition is another process's
                await asyncio.sleep(0.1)
        assert daemon.stop() == ExitCode.DRAINED
    assert [row["state"] for row in await runs.context.fetch("SELECT state FROM job_ranges")] == ["pending"]
    runs.server.clear_faults()
    with runs.context.daemon_with(environment) as daemon:
        daemon.wait_for("reconcile.finished")
    assert len(await runs.versions(spec.name)) == VERSIONS
    assert len(await runs.context.fetch("SELECT FROM jobs")) == 1


async def test_a_bucket_that_may_not_be_listed_ends_nothing(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """One line with the bucket and the reason, and a metric; live traffic goes on."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    runs.server.add_faults(Fault("access_denied", requests=1000))
    with runs.context.daemon_with(settings(runs, BUCKETS=spec.name)) as daemon:
        daemon.wait_for("reconcile.failed")
        await until(lambda: daemon.metric("subscriber_reconcile_failures_total") >= 1)
        (line, *_) = daemon.events("reconcile.failed")
        assert line["bucket"] == spec.name
        assert "s3:ListBucketVersions" in daemon.events("range.failed")[0]["error"]
        assert daemon.page("/readyz")[0] == 200


async def test_a_bucket_without_subscription_is_compared_and_not_repaired(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """It would be out of date at once. One line says so, and what differs is counted."""
    spec = serve_bucket(generated=GeneratedPlan(keys=20))
    with runs.context.daemon_with(settings(runs, BUCKETS=spec.name, RECONCILE_REPAIR="true")) as daemon:
        line = daemon.wait_for("reconcile.not_repaired")
        assert line["bucket"] == spec.name
        assert f"bucket {spec.name} does not send s3:ObjectCreated:* and s3:ObjectRemoved:*" in line["detail"]
        query = "SELECT coalesce((options ->> 'repair')::boolean, false) AS repair FROM jobs"
        async with asyncio.timeout(20):
            while not (jobs := await runs.context.fetch(query)):  # noqa: ASYNC110 – the condition is another process's
                await asyncio.sleep(0.1)
        assert [job["repair"] for job in jobs] == [False]
        assert daemon.page("/readyz")[0] == 200
