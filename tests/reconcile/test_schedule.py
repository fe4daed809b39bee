"""The schedule of reconciliation: one worker at a time, what is due, and what becomes of failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest
import structlog

from subscriber.adapters.postgres.advisory_lock import AdvisoryLock
from subscriber.adapters.postgres.bucket_jobs import BucketJobsTable
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.errors import StoreError, Treatment
from subscriber.jobs import BucketJobs, Job, JobState, NewJob
from subscriber.model import KeyRange
from subscriber.observe.metrics import Metrics
from subscriber.reconcile import schedule
from subscriber.reconcile.schedule import CREATOR, JITTER, ReconcileSchedule, ScheduleOptions, is_due, look_seconds

HOUR = 3600.0


@pytest.mark.parametrize(
    ("jobs", "due"),
    [
        (BucketJobs("lake"), True),
        (BucketJobs("lake", unfinished_id=1), True),
        (BucketJobs("lake", unfinished_id=1, is_paused=True), False),
        (BucketJobs("lake", ended_id=1, ended_seconds=24 * HOUR * (1 - JITTER) - 1), False),
        (BucketJobs("lake", ended_id=1, ended_seconds=24 * HOUR * (1 + JITTER)), True),
        (BucketJobs("lake", ended_id=1, has_failed=True, ended_seconds=HOUR * (1 - JITTER) - 1), False),
        (BucketJobs("lake", ended_id=1, has_failed=True, ended_seconds=HOUR * (1 + JITTER)), True),
    ],
)
def test_what_is_due(jobs: BucketJobs, due: bool) -> None:
    """What never ended, what goes on, and what ended a period ago; a failure is tried again after an hour."""
    assert is_due(jobs, 24 * HOUR) is due


def test_the_times_of_many_buckets_spread_over_the_jitter() -> None:
    """And one bucket's time is the same for every worker."""
    middle = [is_due(BucketJobs(f"lake-{number}", ended_id=1, ended_seconds=HOUR), HOUR) for number in range(200)]
    assert 60 < sum(middle) < 140


def test_short_periods_are_looked_at_more_often() -> None:
    """Sixty times a period, once a minute for a long one and once a second for the shortest."""
    assert [look_seconds(seconds) for seconds in (36, 600, 86_400)] == [1, 10, 60]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits."""
    monkeypatch.setattr(schedule, "FIRST_LOOK_WITHIN_SECONDS", 0.05)
    monkeypatch.setattr(schedule, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(schedule, "look_seconds", lambda _: 0.1)


class Fleet:
    """Workers with real locks and tables, whose work is a function of the test."""

    def __init__(self, options: StoreOptions, database: asyncpg.Connection[asyncpg.Record]) -> None:
        self.options = options
        self.database = database
        self.jobs = Jobs(options)
        self.metrics: list[Metrics] = []

    @asynccontextmanager
    async def worker(
        self, work: Callable[[str, int | None], Awaitable[Job]], *buckets: str, every_seconds: float = HOUR
    ) -> AsyncIterator[asyncio.Task[None]]:
        """A worker as long as the block."""
        tables, lock, metrics = BucketJobsTable(self.options), AdvisoryLock(self.options, "reconciliation"), Metrics()
        self.metrics.append(metrics)
        running = ReconcileSchedule(ScheduleOptions(every_seconds, buckets), tables, lock, work, metrics)
        task = asyncio.create_task(running.run(), name="schedule")
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            await tables.close()
            await lock.release()

    async def create(self, bucket: str) -> int:
        """A job as the schedule creates it."""
        return await self.jobs.create(NewJob("reconcile", bucket, "", (KeyRange("", None),), f"{CREATOR} of test"))

    async def end(self, job_id: int, state: JobState = "succeeded") -> Job:
        """End a job that found two missing versions and a ghost."""
        await self.database.execute("UPDATE job_ranges SET missing = 2, ghost = 1 WHERE job_id = $1", job_id)
        await self.jobs.move(job_id, {"running"}, state)
        return await self.jobs.get(job_id)

    async def done(self, bucket: str, job_id: int | None) -> Job:
        """The whole work."""
        return await self.end(await self.create(bucket) if job_id is None else job_id)

    def value(self, worker: int, name: str, **labels: str) -> float | None:
        """A metric of a worker."""
        return self.metrics[worker].registry.get_sample_value(f"subscriber_{name}", labels)


@pytest.fixture
async def fleet(migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[Fleet]:
    """Without workers."""
    made = Fleet(migrated, database)
    yield made
    await made.jobs.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 – the condition is in the database
            await asyncio.sleep(0.02)


async def test_only_one_of_two_workers_reconciles_and_both_publish(fleet: Fleet) -> None:
    """Once in the period, whoever it is; drift and age are metrics of every worker."""
    began_at = time.monotonic()
    begun: list[str] = []

    async def work(bucket: str, job_id: int | None) -> Job:
        begun.append(bucket)
        await asyncio.sleep(0.5)
        return await fleet.done(bucket, job_id)

    async with fleet.worker(work, "lake", "pond"), fleet.worker(work, "lake", "pond"):
        await until(
            lambda: all(fleet.value(worker, "drift_objects", bucket="pond", kind="missing") == 2 for worker in range(2))
        )
        await asyncio.sleep(0.5)
    assert sorted(begun) == ["lake", "pond"]
    for worker in range(2):
        found = [fleet.value(worker, "drift_objects", bucket="lake", kind=kind) for kind in ("ghost", "stale")]
        assert found == [1, 0]
        age = fleet.value(worker, "reconcile_age_seconds", bucket="lake")
        assert age is not None
        assert 0 <= age <= time.monotonic() - began_at + 1


async def test_another_worker_goes_on_with_the_job_of_one_that_died(fleet: Fleet) -> None:
    """The database lets go of the lock with the session; the job is the same one."""
    joined: list[int | None] = []
    has_begun = asyncio.Event()

    async def hang(bucket: str, job_id: int | None) -> Job:
        await fleet.create(bucket)
        has_begun.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async def go_on(bucket: str, job_id: int | None) -> Job:
        joined.append(job_id)
        return await fleet.done(bucket, job_id)

    async with fleet.worker(hang, "lake") as dying:
        await has_begun.wait()
        async with fleet.worker(go_on, "lake"):
            await asyncio.sleep(0.4)
            assert joined == []
            dying.cancel()
            await until(lambda: bool(joined))
    (newest,) = await fleet.jobs.newest(10)
    assert joined == [newest.job_id]


async def test_a_lost_connection_ends_the_work_if_another_worker_has_the_lock(fleet: Fleet) -> None:
    """Where the lock is free the holder takes it again and goes on; else it stops within seconds."""
    stopped = asyncio.Event()
    has_begun = asyncio.Event()
    other = AdvisoryLock(fleet.options, "reconciliation")
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> ALL ($1::int[])"

    async def work(bucket: str, job_id: int | None) -> Job:
        has_begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()
        raise AssertionError

    async with fleet.worker(work, "lake"):
        await has_begun.wait()
        before = await fleet.database.fetchval(query, [])
        await fleet.database.execute("SELECT pg_terminate_backend($1)", before)
        async with asyncio.timeout(60):
            while await fleet.database.fetchval(query, [before]) is None:  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.02)
        assert not stopped.is_set()
        stolen = False
        async with asyncio.timeout(60):
            while not stolen:
                pid = await fleet.database.fetchval(query, [])
                await fleet.database.execute("SELECT pg_terminate_backend($1)", pid)
                stolen = await other.is_ours()
            await stopped.wait()
    await other.release()


async def test_a_failure_is_a_line_and_a_metric_and_is_tried_again_later(fleet: Fleet) -> None:
    """It ends neither the schedule nor the turn of the next bucket."""
    asked: list[str] = []

    async def work(bucket: str, job_id: int | None) -> Job:
        asked.append(bucket)
        if bucket == "bad":
            raise StoreError(Treatment.BACK_OFF, "timeout", None, "late")
        return await fleet.done(bucket, job_id)

    with structlog.testing.capture_logs() as logs:
        async with fleet.worker(work, "bad", "good") as task:
            await until(lambda: fleet.value(0, "drift_objects", bucket="good", kind="missing") == 2)
            await asyncio.sleep(0.5)
            assert not task.done()
    assert asked == ["bad", "good"]
    assert fleet.value(0, "reconcile_failures_total") == 1
    events = [line["event"] for line in logs]
    assert events.count("reconcile.failed") == 1


async def test_a_stop_in_the_middle_leaves_the_lock_free(fleet: Fleet) -> None:
    """A cancelled schedule cancels its work, waits for it, and gives the lock back."""
    has_begun, given_back = asyncio.Event(), asyncio.Event()

    async def work(bucket: str, job_id: int | None) -> Job:
        has_begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            given_back.set()
        raise AssertionError

    async with fleet.worker(work, "lake") as task:
        await has_begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert given_back.is_set()
        assert await fleet.database.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_the_buckets_of_the_index_share_one_series(fleet: Fleet) -> None:
    """Without an allow-list messages name the buckets, so their number has no bound; one that was never done counts."""
    insert = (
        "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time) "
        "SELECT name, 'k', '', 'present', '1', 'ObjectCreated:Put', now() FROM unnest(ARRAY['one', 'two']) AS name"
    )
    await fleet.database.execute(insert)
    done: list[str] = []

    async def work(bucket: str, job_id: int | None) -> Job:
        done.append(bucket)
        return await fleet.done(bucket, job_id)

    async with fleet.worker(work):
        await until(lambda: fleet.value(0, "drift_objects", bucket="all", kind="missing") == 4)
    assert done == ["one", "two"]
    assert fleet.value(0, "drift_objects", bucket="one", kind="missing") is None


async def test_jobs_of_a_prefix_or_of_others_do_not_count(fleet: Fleet) -> None:
    """A part of a bucket is not the bucket, and an operator's unfinished job is not gone on with."""
    table = BucketJobsTable(fleet.options)
    whole = NewJob("reconcile", "lake", "", (KeyRange("", None),), "operator")
    await fleet.jobs.create(whole)
    part_id = await fleet.jobs.create(msgspec.structs.replace(whole, prefix="2024/"))
    await fleet.end(part_id)
    assert await table.of(["lake"], CREATOR) == [BucketJobs("lake")]
    mine_id = await fleet.create("lake")
    await fleet.jobs.move(mine_id, {"running"}, "paused")
    assert await table.of(["lake"], CREATOR) == [BucketJobs("lake", unfinished_id=mine_id, is_paused=True)]
    await table.close()
