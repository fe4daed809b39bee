"""A worker on a real database: it does each key, obeys its operator, and survives its pages' failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import migrate
from subscriber.errors import ConfigurationError, ListingError, StoreError, Treatment
from subscriber.flow.backoff import Backoff
from subscriber.jobs import Job, JobRange, RangeCounts, Tolerance
from subscriber.reconcile.job import ATTEMPTS_AT_MOST
from subscriber.reconcile.worker import ChooseSplit, Worker, WorkerOptions
from testkit.postgres.postgres import LocalPostgres
from tests.reconcile import walks
from tests.reconcile.walks import key, make_record, new_job, recorder, walk

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
BeforePage: TypeAlias = Callable[[JobRange, int], Awaitable[object]]

TOTAL = 200


class Bench:
    """The tables of the test's schema, and the keys that were done."""

    def __init__(self, jobs: Jobs, database: Database) -> None:
        self.jobs = jobs
        self.database = database

    async def nothing(self, *_: Any) -> None:
        """Before a page."""
        await asyncio.sleep(0)

    def worker(
        self, name: str = "w-1", before_page: BeforePage | None = None, split: ChooseSplit | None = None, **more: Any
    ) -> Worker:
        """A worker with short times."""
        defaults = {"slots": 2, "lease_seconds": 5.0, "heartbeat_seconds": 0.05, "idle_seconds": 0.02}
        do_range = walk(recorder(self.database), TOTAL, name, before_page or self.nothing)
        return Worker(self.jobs, do_range, WorkerOptions(name, **(defaults | more)), split)

    async def done(self) -> Counter[str]:
        """How often each key was done."""
        return Counter(row["key"] for row in await self.database.fetch("SELECT key FROM done"))

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what a worker does."""
        async with asyncio.timeout(60):
            while not await condition():  # noqa: ASYNC110 - the condition is in the database
                await asyncio.sleep(0.02)


EACH_ONCE = Counter(key(number) for number in range(1, TOTAL + 1))


@pytest.fixture
async def bench(migrated: StoreOptions, database: Database) -> AsyncIterator[Bench]:
    """Ready for a job."""
    await make_record(database)
    jobs = Jobs(migrated)
    yield Bench(jobs, database)
    await jobs.close()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are tried again at once."""
    fast = Backoff(first_seconds=0.001, max_seconds=0.01, jitter=0.5)
    monkeypatch.setattr("subscriber.reconcile.worker.RETRY_BACKOFF", fast)


async def test_a_worker_does_each_key_once_and_ends_the_job(bench: Bench) -> None:
    """Counters are the sums of all pages."""
    job_id = await bench.jobs.create(new_job(TOTAL, 7))
    job = await bench.worker().run(job_id)
    assert (job.state, job.ranges) == ("succeeded", RangeCounts(succeeded=7))
    assert job.counters.listed == TOTAL
    assert job.finished_at is not None
    assert await bench.done() == EACH_ONCE


async def test_an_unknown_job_is_one_sentence(bench: Bench) -> None:
    """Before any slot starts."""
    with pytest.raises(ConfigurationError, match="there is no job 5"):
        await bench.worker().run(5)


async def test_a_pause_interrupts_a_page_and_a_resume_goes_on(bench: Bench) -> None:
    """A page that hangs is interrupted too; its range waits, and only that page is done again."""
    stuck, free = asyncio.Event(), asyncio.Event()

    async def hang(_: JobRange, first: int) -> None:
        if first == 41:
            stuck.set()
            await free.wait()

    job_id = await bench.jobs.create(new_job(TOTAL, 1))
    running = asyncio.create_task(bench.worker(before_page=hang).run(job_id), name="worker")
    await stuck.wait()
    await bench.jobs.move(job_id, {"running"}, "paused")

    async def is_released() -> bool:
        return (await bench.jobs.get(job_id)).ranges == RangeCounts(pending=1)

    await bench.until(is_released)
    (left,) = await bench.jobs.ranges(job_id)
    assert (left.position, left.attempts) == (key(40), 0)
    free.set()
    await bench.jobs.move(job_id, {"paused"}, "running")
    assert (await running).state == "succeeded"
    assert await bench.done() == EACH_ONCE


async def test_a_cancellation_ends_the_workers(bench: Bench) -> None:
    """Their ranges are pending, and a redrive finishes them."""
    job_id = await bench.jobs.create(new_job(TOTAL, 4))

    async def cancel(_: JobRange, first: int) -> None:
        if first > 20:
            await bench.jobs.move(job_id, {"running"}, "cancelled")

    job = await bench.worker(before_page=cancel).run(job_id)
    assert (job.state, job.ranges) == ("cancelled", RangeCounts(pending=4))
    assert await bench.jobs.redrive(job_id, {"cancelled"}) == 0
    assert (await bench.worker().run(job_id)).state == "succeeded"
    assert await bench.done() >= EACH_ONCE


def failing(at: Sequence[int], error: Exception, times: int = 1_000_000) -> BeforePage:
    """Raises before the pages that begin with these numbers."""
    left = Counter(dict.fromkeys(at, times))

    async def fail(_: JobRange, first: int) -> None:
        if left[first] > 0:
            left[first] -= 1
            raise error

    return fail


async def test_a_page_that_fails_for_a_while_is_done_in_the_end(bench: Bench) -> None:
    """The range goes on where it stood, and the job succeeds."""
    error = ListingError("SlowDown", "reduce your request rate")
    job_id = await bench.jobs.create(new_job(TOTAL, 4))
    job = await bench.worker(before_page=failing([21, 61], error, ATTEMPTS_AT_MOST - 1)).run(job_id)
    assert job.state == "succeeded"
    assert await bench.done() == EACH_ONCE


async def test_a_range_fails_after_too_many_attempts_and_a_redrive_does_the_rest(bench: Bench) -> None:
    """Only the failed range is done again, from where it failed, when the cause is gone."""
    error = ListingError("SlowDown", "reduce your request rate")
    job_id = await bench.jobs.create(new_job(TOTAL, 4, tolerance=Tolerance(None, 25.0)))
    job = await bench.worker(before_page=failing([61], error)).run(job_id)
    assert (job.state, job.ranges) == ("succeeded", RangeCounts(succeeded=3, failed=1))
    broken = (await bench.jobs.ranges(job_id, states={"failed"}))[0]
    assert (broken.number, broken.position, broken.error) == (2, key(60), "SlowDown: reduce your request rate")
    assert await bench.jobs.redrive(job_id, {"succeeded"}) == 1
    assert (await bench.worker().run(job_id)).ranges == RangeCounts(succeeded=4)
    assert await bench.done() == EACH_ONCE


async def test_a_permanent_error_fails_the_range_at_once_and_the_job_beyond_its_tolerance(bench: Bench) -> None:
    """What nobody has begun stays pending."""
    error = ListingError("AccessDenied", "s3:ListBucket", is_permanent=True)
    job_id = await bench.jobs.create(new_job(TOTAL, 4))
    job = await bench.worker(before_page=failing([1], error), slots=1).run(job_id)
    assert (job.state, job.ranges) == ("failed", RangeCounts(pending=3, failed=1))
    assert (await bench.jobs.ranges(job_id))[0].attempts == 1


async def test_a_database_that_only_an_operator_can_fix_ends_the_worker(bench: Bench) -> None:
    """With one error, though both slots meet it; the ranges are given back without an attempt."""
    error = StoreError(Treatment.STOP, "disk_full", "53100", "no space left")
    job_id = await bench.jobs.create(new_job(TOTAL, 2))
    with pytest.raises(StoreError) as caught:
        await bench.worker(before_page=failing([41, 141], error)).run(job_id)
    assert caught.value is error
    left = await bench.jobs.ranges(job_id)
    assert {(each.state, each.attempts) for each in left} == {("pending", 0)}
    assert key(40) in {each.position for each in left}


async def test_workers_that_end_without_a_trace_do_not_try_for_ever(bench: Bench) -> None:
    """A range on which every worker dies fails, so that the job ends."""
    job_id = await bench.jobs.create(new_job(TOTAL, 1))
    await bench.database.execute("UPDATE job_ranges SET attempts = $1", ATTEMPTS_AT_MOST)
    job = await bench.worker().run(job_id)
    assert (job.state, await bench.done()) == ("failed", Counter())
    (broken,) = await bench.jobs.ranges(job_id)
    assert broken.error == "5 workers in a row ended without finishing a page of it; see their logs"


async def test_a_cancelled_worker_gives_its_ranges_back(bench: Bench) -> None:
    """Another worker need not wait for the leases."""
    stuck = asyncio.Event()

    async def hang(_: JobRange, first: int) -> None:
        if first == 41:
            stuck.set()
            await asyncio.Event().wait()

    job_id = await bench.jobs.create(new_job(TOTAL, 2))
    running = asyncio.create_task(bench.worker(before_page=hang, lease_seconds=60.0).run(job_id), name="worker")
    await stuck.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {each.state for each in await bench.jobs.ranges(job_id)} <= {"pending", "succeeded"}
    assert (await bench.worker("w-2").run(job_id)).state == "succeeded"
    assert await bench.done() >= EACH_ONCE


async def test_a_worker_that_lost_its_range_forgets_it(bench: Bench) -> None:
    """It commits nothing more; the other one finishes."""
    job_id = await bench.jobs.create(new_job(TOTAL, 1))

    async def lose(held: JobRange, first: int) -> None:
        if first == 41 and held.claims == 1:
            await bench.database.execute("UPDATE job_ranges SET lease_until = now() - interval '1 s'")
            assert await bench.jobs.claim(job_id, "other", 0.2) is not None

    job = await bench.worker(before_page=lose, slots=1).run(job_id)
    assert (job.state, job.counters.listed) == ("succeeded", TOTAL)
    repeated = await bench.done() - EACH_ONCE
    assert repeated == Counter(key(number) for number in range(41, 51))


async def test_a_lower_concurrency_is_obeyed_at_the_next_page(bench: Bench) -> None:
    """Of four ranges in work one goes on; the others wait, and none is lost."""
    at_once, most_after = Counter[int](), [0]
    lowered = asyncio.Event()
    job_id = await bench.jobs.create(new_job(TOTAL, 4, concurrency=4))

    async def measure(held: JobRange, first: int) -> None:
        at_once[held.number] += 1
        if len(at_once) == 4 and not lowered.is_set():
            await bench.jobs.tune(job_id, {"running"}, concurrency=1, tolerance=None)
            lowered.set()
        await asyncio.sleep(0.06)
        if lowered.is_set():
            running = await bench.jobs.ranges(job_id, states={"running"})
            most_after.append(len(running))

    job = await bench.worker(before_page=measure, slots=4).run(job_id)
    assert job.state == "succeeded"
    assert most_after[-1] == 1
    assert await bench.done() >= EACH_ONCE


async def test_an_idle_worker_gets_the_end_of_a_range_in_work(bench: Bench) -> None:
    """The owner makes the second half pending with its next page, and stops there: each key is done once."""
    choices: list[int] = []

    async def halve(_: Job, running: Sequence[JobRange]) -> tuple[JobRange, str] | None:
        if len(choices) == 3 or running[0].cut_at is not None:
            return None
        first = running[0]
        begin = int((first.position or "key-0")[4:])
        end = TOTAL if first.keys.upto is None else int(first.keys.upto[4:])
        if end - begin < 40:
            return None
        choices.append(first.number)
        return first, key((begin + end) // 2)

    async def slowly(*_: Any) -> None:
        await asyncio.sleep(0.02)

    job_id = await bench.jobs.create(new_job(TOTAL, 1))
    job = await bench.worker(before_page=slowly, split=halve).run(job_id)
    assert choices
    assert job.state == "succeeded"
    assert 1 < job.ranges.succeeded <= 1 + len(choices)
    assert job.counters.listed == TOTAL
    assert await bench.done() == EACH_ONCE


async def test_a_restart_of_the_database_costs_no_range(postgres_server: LocalPostgres) -> None:
    """Pages and heartbeats are tried again until it answers; at most a page of each range is done twice."""
    options = StoreOptions(url=postgres_server.url, tls="disable")
    await migrate(options)
    jobs = Jobs(options)
    job_id = await jobs.create(new_job(TOTAL, 4))
    done, half = Counter[str](), asyncio.Event()

    async def record(rows: Sequence[tuple[str, str, int]]) -> None:
        done.update(key for key, _, _ in rows)
        if len(done) >= TOTAL // 2:
            half.set()

    do_range = walk(record, TOTAL, "w", lambda *_: asyncio.sleep(0.02))
    worker = Worker(jobs, do_range, WorkerOptions("w", slots=2, lease_seconds=20.0, heartbeat_seconds=0.05))
    running = asyncio.create_task(worker.run(job_id), name="worker")
    await half.wait()
    await asyncio.to_thread(postgres_server.restart, "immediate")
    assert (await running).state == "succeeded"
    assert done >= EACH_ONCE
    assert (done - EACH_ONCE).total() <= 2 * walks.PAGE_KEYS
    await jobs.close()
