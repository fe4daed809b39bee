"""`subscriber backfill` and `reconcile` between real parts: the listing server, real PostgreSQL, hostile keys."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from subscriber.adapters.postgres.jobs import Jobs
from testkit.s3.faults import Fault
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.keys import HOSTILE_KEYS
from testkit.s3.launch import ListingServer
from testkit.s3.raw_client import RawS3
from tests.e2e.environment import RunContext, until
from tests.e2e.reconcile_runs import ReconcileRuns, event_now
from tests.e2e.test_real_bucket import HOSTILE_KEYS as REAL_KEYS
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=2_000, layout="mixed", keys_per_block=100, deep_versions=250)
ENABLE = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
GRACE = ("--grace", "1")
JSON = ("--format", "json")


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


def current(plan: GeneratedPlan) -> list[str]:
    """The keys that ListObjectsV2 would show."""
    return sorted(
        entry.key.decode()
        for entry in GeneratedBucket(plan).entries(is_versions=True)
        if entry.is_latest and not entry.is_marker
    )


async def test_a_bucket_that_was_there_first_becomes_an_equal_view(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """Hostile keys, deep stacks and delete markers, over pages that fail; a comparison then finds nothing."""
    spec = serve_bucket(generated=PLAN, page_size=100)
    runs.subscribe(spec.name)
    runs.server.add_faults(Fault("slow_down", skip=3), Fault("truncated", skip=9), Fault("error_in_200", skip=15))
    filled = await runs.run("backfill", f"s3://{spec.name}", *JSON)
    assert (filled.code, filled.report["state"]) == (0, "succeeded"), filled.err
    expected = truth(PLAN)
    assert await runs.versions(spec.name) == expected
    assert [row[0] for row in await runs.objects(spec.name)] == current(PLAN)
    counters = filled.report["counters"]
    assert counters["written"] == counters["missing"] == counters["listed"] == len(expected)
    assert filled.report["cost_usd"] == round(counters["requests"] * 5e-6, 6) > 0
    clean = await runs.run("reconcile", f"s3://{spec.name}", *GRACE, *JSON)
    assert (clean.code, clean.report["drift"]) == (0, False), clean.out
    assert clean.report["counters"]["listed"] == len(expected)


@pytest.mark.usefixtures("untraced")
async def test_lost_events_are_reported_exactly_and_repaired(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Puts, overwrites, markers and permanent deletes whose events never came; a report writes nothing."""
    spec = serve_bucket(page_size=7)
    runs.subscribe(spec.name)
    name = spec.name
    with RawS3(runs.server.endpoint_url) as s3:
        s3.call("PUT", name, {"versioning": ""}, ENABLE)
        for key in HOSTILE_KEYS:
            s3.call("PUT", f"{name}/{key}", body=b"first")
        doomed = s3.call("PUT", f"{name}/doomed", body=b"x").headers["x-amz-version-id"]
        assert (await runs.run("backfill", f"s3://{name}")).code == 0
        before = await runs.versions(name)
        assert len(before) == len(HOSTILE_KEYS) + 1
        s3.call("PUT", f"{name}/new +%2B key", body=b"new")
        s3.call("PUT", f"{name}/{HOSTILE_KEYS[3]}", body=b"second")
        s3.call("DELETE", f"{name}/{HOSTILE_KEYS[5]}")
        s3.call("DELETE", f"{name}/doomed", {"versionId": doomed})
    await asyncio.sleep(3.1)  # the grace, and the whole second of LastModified
    missing = ("new +%2B key", HOSTILE_KEYS[3], HOSTILE_KEYS[5])
    lost = {("ghost", "doomed"), *(("missing", key) for key in missing)}
    reports = (("reconcile",), ("reconcile", "--repair", "--dry-run"), ("backfill", "--dry-run"))
    for each in reports:
        found = await runs.run(*each, f"s3://{name}", *GRACE, *JSON)
        assert found.code == 10, found.err
        assert {(example["kind"], example["key"]) for example in found.report["examples"]} == lost
        counters = found.report["counters"]
        assert [counters[kind] for kind in ("missing", "ghost", "stale", "fresh")] == [3, 1, 0, 0]
        assert counters["bytes"] == len(b"new" + b"second" + b"x")
        assert time.time() - time.mktime(time.strptime(found.report["youngest"], "%Y-%m-%dT%H:%M:%SZ")) < 100_000
    assert await runs.versions(name) == before
    repaired = await runs.run("reconcile", "--repair", f"s3://{name}", *GRACE, *JSON)
    assert (repaired.code, repaired.report["drift"]) == (0, True), repaired.err
    clean = await runs.run("reconcile", f"s3://{name}", *GRACE)
    assert clean.code == 0, clean.out
    shown = {row[0]: row[2] for row in await runs.objects(name)}
    assert shown["new +%2B key"] == 3
    assert shown[HOSTILE_KEYS[3]] == 6
    assert not {HOSTILE_KEYS[5], "doomed"} & shown.keys()


@pytest.mark.usefixtures("untraced")
async def test_a_prefix_of_a_bucket_without_versioning(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """ListObjectsV2; neither neighbors of the prefix nor their rows are touched."""
    spec = serve_bucket(page_size=3)
    runs.subscribe(spec.name)
    inside = ["log/", "log/a", "log/\U0010ffff", "log/\U0010ffff\U0010ffff!"]
    outside = ["log", "log.", "log.\U0010ffff", "log0", "lof"]
    with RawS3(runs.server.endpoint_url) as s3:
        for key in inside + outside:
            s3.call("PUT", f"{spec.name}/{key}", body=b"1")
        assert (await runs.run("backfill", f"s3://{spec.name}/log/")).code == 0
        assert [row[0] for row in await runs.objects(spec.name)] == inside
        assert (await runs.run("backfill", f"s3://{spec.name}")).code == 0
        for key in [*outside, "log/a"]:
            s3.call("DELETE", f"{spec.name}/{key}")
    await asyncio.sleep(3.1)
    found = await runs.run("reconcile", f"s3://{spec.name}/log/", *GRACE, *JSON)
    assert [each["key"] for each in found.report["examples"]] == ["log/a"]
    assert runs.server.counts().requests["ListObjectsV2"] > 0


@pytest.mark.usefixtures("untraced")
async def test_a_killed_backfill_goes_on_where_it_stopped(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Kill −9, then another process with --job; an interrupt gives the ranges back, and says how to go on."""
    spec = serve_bucket(generated=PLAN, page_size=25)
    runs.subscribe(spec.name)
    slowly = ("--requests-per-second", "10", "--workers", "2")
    killed = runs.start("backfill", f"s3://{spec.name}", *slowly)
    await runs.until_rows(spec.name, 200)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    await runs.execute("UPDATE job_ranges SET lease_until = now() WHERE state = 'running'")
    jobs = Jobs(runs.options)
    (job,) = await jobs.newest(1)
    interrupted = runs.start("backfill", "--job", str(job.job_id), *slowly)
    await runs.until_rows(spec.name, 500)
    interrupted.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(interrupted.communicate)
    assert interrupted.returncode == 130
    assert f"`subscriber backfill --job {job.job_id}` goes on" in err.decode()
    assert not (await jobs.get(job.job_id)).ranges.running
    ended = await runs.run("backfill", "--job", str(job.job_id), *JSON)
    assert (ended.code, ended.report["state"]) == (0, "succeeded"), ended.err
    expected = truth(PLAN)
    assert await runs.versions(spec.name) == expected
    assert (await jobs.get(job.job_id)).counters.listed == len(expected)
    assert ended.report["begun_again"] > 0
    await jobs.close()


@pytest.mark.usefixtures("untraced")
async def test_live_events_are_no_drift(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Objects that are written and deleted while a comparison runs, their events up to half a second late."""
    spec = serve_bucket(page_size=5)
    runs.subscribe(spec.name)
    with RawS3(runs.server.endpoint_url) as s3:
        for number in range(30):
            s3.call("PUT", f"{spec.name}/old-{number:02}", body=b"1")
        assert (await runs.run("backfill", f"s3://{spec.name}")).code == 0
        with runs.context.daemon() as daemon:
            await until(lambda: bool(daemon.events("pipeline.started")))
            stop = asyncio.Event()
            live = asyncio.create_task(_traffic(runs, s3, spec.name, stop), name="traffic")
            slow = ("--requests-per-second", "5", "--workers", "1")
            found = await runs.run("reconcile", f"s3://{spec.name}", "--grace", "20", *slow, *JSON)
            stop.set()
            await live
    assert (found.code, found.report["drift"]) == (0, False), found.out
    assert found.report["counters"]["fresh"] > 0


async def _traffic(runs: ReconcileRuns, s3: RawS3, bucket: str, stop: asyncio.Event) -> None:
    """Put and delete objects, and send their events late."""
    late: list[str] = []
    for number in range(10_000):
        if stop.is_set():
            break
        key, body = f"old-{number % 40:02}", str(number).encode()
        is_delete = number % 5 == 4
        s3.call("DELETE" if is_delete else "PUT", f"{bucket}/{key}", body=b"" if is_delete else body)
        late.append(event_now(bucket, key, None if is_delete else body))
        if len(late) > 10:
            runs.context.send([late.pop(0)])
        await asyncio.sleep(0.04)
    runs.context.send(late)


@pytest.mark.usefixtures("untraced")
async def test_a_bucket_of_localstack_becomes_an_equal_view(runs: ReconcileRuns, localstack_url: str) -> None:
    """One page of hostile keys with versions and a marker, put before the subscription; then events get lost."""
    options = {"region_name": "us-east-1", "endpoint_url": localstack_url}
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    async with AsyncExitStack() as stack:
        s3, sqs = [
            await stack.enter_async_context(get_session().create_client(name, **options, **credentials))
            for name in ("s3", "sqs")
        ]
        bucket = f"lake-{time.time_ns()}"
        await s3.create_bucket(Bucket=bucket)
        await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key in REAL_KEYS:
            await s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        await s3.put_object(Bucket=bucket, Key=REAL_KEYS[0], Body=b"22")
        await s3.delete_object(Bucket=bucket, Key=REAL_KEYS[1])
        queue = (await sqs.create_queue(QueueName=bucket))["QueueUrl"]
        asked = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        subscription = {"QueueArn": asked["Attributes"]["QueueArn"], "Events": events}
        runs.changed = {"AWS_ENDPOINT_URL_S3": localstack_url, "SUBSCRIBER_QUEUE_URLS": queue}
        refused = await runs.run("backfill", f"s3://{bucket}")
        assert refused.code == 2
        await s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [subscription]}
        )
        filled = await runs.run("backfill", f"s3://{bucket}", *JSON)
        assert filled.code == 0, filled.err
        assert filled.report["counters"]["written"] == len(REAL_KEYS) + 2
        assert {row[0]: row[2] for row in await runs.objects(bucket)} == await listing(s3, bucket)
        await s3.put_object(Bucket=bucket, Key="lost", Body=b"333")
        await s3.delete_object(Bucket=bucket, Key=REAL_KEYS[2])
        await asyncio.sleep(3.1)
        found = await runs.run("reconcile", f"s3://{bucket}", *GRACE, *JSON)
        assert found.code == 10, found.err
        assert {each["key"] for each in found.report["examples"]} == {"lost", REAL_KEYS[2]}
        assert (await runs.run("reconcile", "--repair", f"s3://{bucket}", *GRACE)).code == 0
        assert {row[0]: row[2] for row in await runs.objects(bucket)} == await listing(s3, bucket)


async def listing(s3: Any, bucket: str) -> dict[str, int]:
    """Size of every object, by key, as ListObjectsV2 shows them."""
    page = await s3.list_objects_v2(Bucket=bucket)
    return {item["Key"]: item["Size"] for item in page.get("Contents", [])}


async def test_a_plan_is_done_range_by_range(runs: ReconcileRuns, serve_bucket: MakeBucket, tmp_path: Path) -> None:
    """Without a job row and an empty index: the lines of --plan, each done by --range, fill and compare the bucket."""
    generated = GeneratedPlan(keys=300, layout="mixed", keys_per_block=50, deep_versions=60)
    spec = serve_bucket(generated=generated)
    runs.subscribe(spec.name)
    file = tmp_path / "plan.jsonl"
    planned = await runs.run("backfill", f"s3://{spec.name}", "--plan", str(file), "--ranges", "3")
    assert planned.code == 0, planned.err
    lines = file.read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        done = await runs.run("backfill", "--range", line, *JSON)
        assert (done.code, done.report["job_id"]) == (0, None), done.err
        assert 0 < done.report["counters"]["written"] < len(truth(generated))
    assert await runs.versions(spec.name) == truth(generated)
    await runs.execute("ANALYZE object_versions")
    assert (await runs.run("reconcile", f"s3://{spec.name}", "--plan", str(file))).code == 0
    lines = file.read_text().splitlines()
    assert len(lines) > 3
    compared = await runs.run("reconcile", "--range", lines[1], *GRACE)
    assert compared.code == 0, compared.out
    unwritable = await runs.run("reconcile", f"s3://{spec.name}", "--plan", str(tmp_path))
    assert (unwritable.code, unwritable.err.count("\n")) == (2, 1)


async def test_a_plan_on_s3_is_read_by_the_children_of_an_array_job(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """Written by one PUT; the child's number names the line."""
    generated = GeneratedPlan(keys=60, keys_per_block=20)
    spec, place = serve_bucket(generated=generated), f"s3://{serve_bucket().name}/plans/b ü+.jsonl"
    planned = await runs.run("backfill", f"s3://{spec.name}", "--anyway", "--plan", place, "--ranges", "2")
    assert (planned.code, planned.out, planned.err) == (0, "", "")
    for number in range(2):
        runs.changed["AWS_BATCH_JOB_ARRAY_INDEX"] = str(number)
        done = await runs.run("backfill", "--range", place)
        assert done.code == 0, done.err
    assert await runs.versions(spec.name) == truth(generated)
    runs.changed["AWS_BATCH_JOB_ARRAY_INDEX"] = "2"
    beyond = await runs.run("backfill", "--range", place)
    assert (beyond.code, beyond.err.count("\n")) == (2, 1)
    assert "has 2 lines" in beyond.err
    for wrong in ("s3://no-such-bucket-here/plan.jsonl", "s3://no-such-bucket-here"):
        refused = await runs.run("backfill", f"s3://{spec.name}", "--anyway", "--plan", wrong)
        assert (refused.code, refused.err.count("\n")) == (4 if wrong.endswith("jsonl") else 2, 1), refused.err


async def test_a_bucket_without_subscription_is_refused(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """One sentence, exit code 2 and no job; --anyway goes on."""
    spec = serve_bucket()
    refused = await runs.run("backfill", f"s3://{spec.name}")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "does not send s3:ObjectCreated:* and s3:ObjectRemoved:*" in refused.err
    assert "--anyway" in refused.err
    nothing = await runs.run("jobs", "list")
    assert nothing.out == "there is no job\n"
    assert (await runs.run("backfill", f"s3://{spec.name}", "--anyway")).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "name either a bucket"),
        (("s3://lake", "--job", "1"), 2, "name either a bucket"),
        (("lake",), 2, "write s3://BUCKET"),
        (("--job", "999999"), 2, "there is no job 999999"),
        (("--range", "{}"), 2, "is no range of a plan"),
        (("--range", "plan.jsonl"), 2, "AWS_BATCH_JOB_ARRAY_INDEX is not set"),
        (("s3://lake", "--ranges", "3"), 2, "--ranges means nothing without --plan"),
        (("s3://no-such-bucket-here", "--anyway"), 4, "NoSuchBucket"),
    ],
)
async def test_what_cannot_be_done_ends_with_a_sentence(
    runs: ReconcileRuns, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """One line and an exit code."""
    ended = await runs.run("reconcile", *arguments)
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert text in ended.err
    assert ended.err.count("\n") == 1


async def test_what_may_not_be_read_is_said_and_the_rest_goes_on(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Without the configurations of events and versioning: a line of doubt, and versions are listed."""
    spec = serve_bucket(generated=GeneratedPlan(keys=20, is_versioned=False))
    operations = ("GetBucketNotificationConfiguration", "GetBucketVersioning")
    runs.server.add_faults(*(Fault("access_denied", operation=operation) for operation in operations))
    listed = runs.server.counts().requests.get("ListObjectVersions", 0)
    filled = await runs.run("backfill", f"s3://{spec.name}", *JSON)
    assert (filled.code, filled.report["counters"]["written"]) == (0, 20), filled.err
    assert "does not tell whether it sends its events to our queues (AccessDenied" in filled.err
    assert runs.server.counts().requests["ListObjectVersions"] > listed


async def test_a_bucket_that_the_allow_list_lacks_is_refused(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Its events are quarantined."""
    spec = serve_bucket()
    runs.changed = {"SUBSCRIBER_BUCKETS": "another-lake"}
    refused = await runs.run("reconcile", f"s3://{spec.name}")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "is not in SUBSCRIBER_BUCKETS" in refused.err


async def test_a_range_that_cannot_be_listed_fails_the_job(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Exit code 4, and the sentence tells how to go on; the way that it tells works."""
    spec = serve_bucket(generated=GeneratedPlan(keys=100))
    runs.server.add_faults(Fault("access_denied", operation="ListObjectVersions"))
    ended = await runs.run("backfill", f"s3://{spec.name}", "--anyway")
    assert (ended.code, ended.out) == (4, ""), ended.err
    jobs = Jobs(runs.options)
    (job,) = await jobs.newest(1)
    await jobs.close()
    assert f"subscriber jobs redrive {job.job_id}" in ended.err
    assert (await runs.run("jobs", "redrive", str(job.job_id))).code == 0
    again = await runs.run("backfill", "--job", str(job.job_id))
    assert again.code == 0, again.err
