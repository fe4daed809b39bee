"""Two real processes work on one job; one of them is stopped, killed, or a daemon that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import pytest

from subscriber.adapters.postgres.jobs import Jobs
from subscriber.jobs import JobOptions, NewJob
from subscriber.model import KeyRange
from subscriber.reconcile.ranges import ranges_between
from testkit.s3.faults import Fault
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.launch import ListingServer
from tests.e2e.environment import RunContext
from tests.e2e.reconcile_runs import ReconcileRuns
from tests.fixtures.s3 import MakeBucket

PLAN = GeneratedPlan(keys=400, keys_per_block=50, deep_versions=1)
ENTRIES = list(GeneratedBucket(PLAN).entries(is_versions=True))
KEYS = list(dict.fromkeys(entry.key.decode() for entry in ENTRIES))
DEEPEST = max(len(list(group)) for _, group in groupby(ENTRIES, key=lambda entry: entry.key))
RANGES = 8
PAGE = 20
SLOWLY = ("--requests-per-second", "10", "--workers", "2")
BEYOND = """
SELECT held.number, count(rows.key) AS rows FROM job_ranges AS held LEFT JOIN object_versions AS rows
    ON rows.key > coalesce(held.position, held.after) AND (held.upto IS NULL OR rows.key <= held.upto)
WHERE held.state = 'running' AND held.worker = $1 GROUP BY held.number
"""
IN_TRANSACTION = """
SELECT pid FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def runs(context: RunContext, listing_server: ListingServer) -> ReconcileRuns:
    """Commands on migrated tables."""
    made = ReconcileRuns(context, listing_server)
    await made.migrate()
    return made


async def new_job(runs: ReconcileRuns, bucket: str) -> int:
    """A backfill of ranges of equal size."""
    cuts = [KEYS[len(KEYS) * number // RANGES] for number in range(1, RANGES)]
    ranges = tuple(ranges_between(cuts, KeyRange()))
    options = JobOptions(repair=True, grace_seconds=1, versions=True)
    jobs = Jobs(runs.options)
    try:
        return await jobs.create(NewJob("backfill", bucket, "", ranges, "test", options, concurrency=8))
    finally:
        await jobs.close()


@contextmanager
def working(runs: ReconcileRuns, job_id: int) -> Iterator[subprocess.Popen[bytes]]:
    """One process of the job, which is killed at the end if it has not ended."""
    process = runs.start("backfill", "--job", str(job_id), *SLOWLY)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


async def workers(runs: ReconcileRuns, *, at_least: int) -> list[str]:
    """Wait until so many processes have taken ranges; their names, in the order in which they did."""
    query = "SELECT worker FROM job_ranges WHERE worker IS NOT NULL GROUP BY worker ORDER BY min(started_at)"
    async with asyncio.timeout(30):
        while len(found := await runs.context.fetch(query)) < at_least:  # noqa: ASYNC110 - theirs
            await asyncio.sleep(0.05)
    return [row["worker"] for row in found]


async def stop(runs: ReconcileRuns, process: subprocess.Popen[bytes]) -> None:
    """Stop a process between two transactions: others would wait for its locks."""
    async with asyncio.timeout(30):
        process.send_signal(signal.SIGSTOP)
        while await runs.context.fetch(IN_TRANSACTION):
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
            process.send_signal(signal.SIGSTOP)


async def ended(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has succeeded."""
    _, err = await asyncio.to_thread(process.communicate, None, 60)
    assert process.returncode == 0, err


async def ranges(runs: ReconcileRuns) -> list[Any]:
    """All ranges, when the job has succeeded and the index is equal to the bucket."""
    rows: list[Any] = await runs.context.fetch("SELECT * FROM job_ranges")
    assert {row["state"] for row in rows} == {"succeeded"}
    assert sum(row["listed"] for row in rows) == len(ENTRIES)
    (bucket,) = await runs.context.fetch("SELECT bucket FROM jobs")
    assert len(await runs.versions(bucket["bucket"])) == len(ENTRIES)
    return rows


async def test_two_processes_do_each_range_once(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """Both have ranges, no range has two workers, and no version is counted twice."""
    spec = serve_bucket(generated=PLAN, page_size=PAGE)
    job_id = await new_job(runs, spec.name)
    with working(runs, job_id) as first:
        await workers(runs, at_least=1)
        await stop(runs, first)  # until the other one works, too
        with working(runs, job_id) as second:
            names = await workers(runs, at_least=2)
            first.send_signal(signal.SIGCONT)
            await asyncio.gather(ended(first), ended(second))
    rows = await ranges(runs)
    assert len(rows) == RANGES
    assert {name.rpartition("-")[2] for name in names} == {str(first.pid), str(second.pid)}
    assert {row["claims"] for row in rows} == {1}


async def test_a_killed_process_costs_at_most_a_page_of_each_range(
    runs: ReconcileRuns, serve_bucket: MakeBucket
) -> None:
    """What it had written and not committed as its position; the other one takes its ranges and finishes."""
    spec = serve_bucket(generated=PLAN, page_size=PAGE)
    job_id = await new_job(runs, spec.name)
    with working(runs, job_id) as killed:
        await runs.until_rows(spec.name, PAGE)
        await stop(runs, killed)
        with working(runs, job_id) as other:
            names = await workers(runs, at_least=2)
            killed.kill()
            killed.communicate()
            (lost,) = (name for name in names if name.endswith(f"-{killed.pid}"))
            beyond = await runs.context.fetch(BEYOND.replace("$1", f"'{lost}'"))
            assert 0 < len(beyond) <= 2
            assert all(row["rows"] <= PAGE + DEEPEST for row in beyond)
            await runs.execute(f"UPDATE job_ranges SET lease_until = now() WHERE worker = '{lost}'")
            await ended(other)
    claims = {row["number"]: row["claims"] for row in await ranges(runs)}
    taken = {row["number"] for row in beyond}
    assert claims == {number: 2 if number in taken else 1 for number in claims}


async def test_another_daemon_takes_over_after_a_kill(runs: ReconcileRuns, serve_bucket: MakeBucket) -> None:
    """The lock of the schedule goes with the killed daemon's session, and its range when the lease has ended."""
    spec = serve_bucket(generated=PLAN, page_size=PAGE)
    runs.subscribe(spec.name)
    runs.server.add_faults(Fault("delay", operation="ListObjectVersions", seconds=30, skip=3, requests=1000))
    schedule = {"RECONCILE_EVERY_HOURS": 0.01, "RECONCILE_REPAIR": "true", "BUCKETS": spec.name}
    environment = runs.context.environment(**schedule) | {"AWS_ENDPOINT_URL_S3": runs.server.endpoint_url}
    with runs.context.daemon_with(environment) as first:
        first.wait_for("reconcile.started")
        await runs.until_rows(spec.name, PAGE)
        with runs.context.daemon_with(environment) as second:
            second.wait_for("pipeline.started")
            os.kill(first.pid, signal.SIGKILL)
            runs.server.clear_faults()
            await runs.execute("UPDATE job_ranges SET lease_until = now() WHERE state = 'running'")
            second.wait_for("reconcile.finished")
            assert second.stop() == 0
    rows = await ranges(runs)
    assert [row["claims"] for row in rows] == [2]
    assert len(await runs.context.fetch("SELECT FROM jobs")) == 1
