"""Jobs as rows, on a real database: claims, leases, pages, splits and the commands of operators."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeAlias, get_args

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.statements import statement
from subscriber.errors import ConfigurationError, StoreError
from subscriber.jobs import (
    EXAMPLES_PER_RANGE,
    Claim,
    Counters,
    DriftExample,
    JobOptions,
    JobRange,
    NewJob,
    PageDone,
    RangeCounts,
    RangeOrders,
    RangeState,
    Tolerance,
)
from subscriber.model import KeyRange
from subscriber.reconcile.job import RANGE_TRANSITIONS, RangeEvent
from tests.reconcile.walks import new_job

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LEASE = 60.0


@pytest.fixture
async def jobs(migrated: StoreOptions) -> AsyncIterator[Jobs]:
    """The tables of the test's schema."""
    jobs = Jobs(migrated)
    yield jobs
    await jobs.close()


async def claimed(jobs: Jobs, job_id: int, worker: str = "w-1") -> JobRange:
    """The next range."""
    claim = await jobs.claim(job_id, worker, LEASE)
    assert claim is not None
    return claim.held


async def end_leases(database: Database) -> None:
    """As if the time of all leases had passed."""
    await database.execute("UPDATE job_ranges SET lease_until = now() - interval '1 second' WHERE state = 'running'")


def page(position: str, **counters: int) -> PageDone:
    """A page that ends with a key."""
    return PageDone(position, 1_795_341_600, Counters(**counters))


async def test_a_job_is_stored_as_it_was_made(jobs: Jobs) -> None:
    """Its facts, its options and its ranges come back; an unknown id is one sentence."""
    ranges = (KeyRange("", "a\x01+%é"), KeyRange("a\x01+%é", "\U0010ffff"), KeyRange("\U0010ffff", None))
    options = JobOptions(repair=True, grace_seconds=7, share=0.25)
    new = NewJob("reconcile", "lake", "pre/", ranges, "me@host", options, 3, Tolerance(None, 2.5))
    job_id = await jobs.create(new)
    job = await jobs.get(job_id)
    assert (job.kind, job.bucket, job.prefix, job.options, job.state) == (
        "reconcile",
        "lake",
        "pre/",
        options,
        "running",
    )
    assert (job.concurrency, job.tolerance, job.created_by) == (3, Tolerance(None, 2.5), "me@host")
    assert (job.started_at, job.finished_at, job.ranges, job.counters) == (None, None, RangeCounts(3), Counters())
    assert [each.keys for each in await jobs.ranges(job_id)] == [*ranges]
    with pytest.raises(ConfigurationError, match=r"^there is no job 999; `subscriber jobs list` shows them$"):
        await jobs.get(999)


async def test_the_newest_jobs_come_first(jobs: Jobs) -> None:
    """Pages of the list go on before a job."""
    ids = [await jobs.create(new_job(10, 1)) for _ in range(3)]
    assert [job.job_id for job in await jobs.newest(2)] == [ids[2], ids[1]]
    assert [job.job_id for job in await jobs.newest(2, before=ids[1])] == [ids[0]]


async def test_concurrent_claims_take_each_range_once_and_no_more_than_the_concurrency(migrated: StoreOptions) -> None:
    """Twelve workers on connections of their own get the five ranges that may be in work, each a different one."""
    workers = [Jobs(migrated) for _ in range(12)]
    job_id = await workers[0].create(new_job(100, 10, concurrency=5))
    claims = await asyncio.gather(*(each.claim(job_id, f"w-{n}", LEASE) for n, each in enumerate(workers)))
    numbers = sorted(claim.held.number for claim in claims if claim)
    assert numbers == [1, 2, 3, 4, 5]
    assert (await workers[0].get(job_id)).started_at is not None
    for each in workers:
        await each.close()


async def test_a_range_whose_lease_is_over_goes_to_another_worker_where_it_stood(
    jobs: Jobs, database: Database
) -> None:
    """The former worker's commits change nothing, and it learns so."""
    job_id = await jobs.create(new_job(20, 1))
    first = await claimed(jobs, job_id)
    await jobs.progress(first, page("key-00010", listed=10), LEASE)
    assert await jobs.claim(job_id, "w-2", LEASE) is None
    await end_leases(database)
    second = await claimed(jobs, job_id, "w-2")
    assert (second.position, second.remaining, second.worker) == ("key-00010", KeyRange("key-00010", None), "w-2")
    assert (second.attempts, second.claims, second.counters.listed) == (1, 2, 10)
    assert await jobs.progress(first, page("key-00020", listed=10), LEASE) is None
    assert not await jobs.leave(first, "succeeded")
    assert await jobs.ranges(job_id) == [second]


async def test_a_page_and_a_heartbeat_prolong_the_lease(jobs: Jobs, database: Database) -> None:
    """Even one that is over, if no other worker has taken the range."""
    held = await claimed(jobs, await jobs.create(new_job(20, 1, concurrency=3)))
    for commit in (page("key-00010"), None):
        await end_leases(database)
        assert await jobs.progress(held, commit, LEASE) == RangeOrders(None, "running", 3)
        left = await database.fetchval("SELECT lease_until - now() FROM job_ranges")
        assert timedelta(seconds=LEASE - 10) < left <= timedelta(seconds=LEASE)


@pytest.mark.parametrize(("written", "setting"), [(0, "on"), (1, "off")])
async def test_only_a_page_without_rows_waits_for_the_disk(
    jobs: Jobs, migrated: StoreOptions, database: Database, written: int, setting: str
) -> None:
    """The rows of the others have waited, and the position follows with whatever waits next."""
    held = await claimed(jobs, await jobs.create(new_job(10, 1)))
    counters = msgspec.structs.astuple(Counters(written=written))
    async with database.transaction():
        row = await database.fetchrow(
            statement("jobs_progress", migrated.schema),
            held.job_id, held.number, held.claims, LEASE, "k", 1, *counters, "[]", EXAMPLES_PER_RANGE,
        )  # fmt: skip
        assert row is not None
        assert await database.fetchval("SHOW synchronous_commit") == setting
    assert await database.fetchval("SHOW synchronous_commit") == "on"


async def test_a_repeated_commit_of_a_page_counts_once(jobs: Jobs) -> None:
    """As after an answer that was lost; attempts begin anew with each page."""
    held = await claimed(jobs, await jobs.create(new_job(20, 1)))
    every = Counters(listed=1, written=2, missing=3, ghost=4, stale=5, fresh=6, requests=7, bytes=2**40)
    done = PageDone("key-00010", 1_795_341_600, every, (DriftExample("ghost", "a\x00\n"),))
    for _ in range(2):
        await jobs.progress(held, done, LEASE)
    (found,) = await jobs.ranges(held.job_id)
    assert (found.counters, found.attempts, found.moment) == (every, 0, 1_795_341_600)
    assert found.examples == (DriftExample("ghost", "a\ufffd\n"),)
    assert (await jobs.get(held.job_id)).counters == every


async def test_examples_are_bounded(jobs: Jobs) -> None:
    """The first ones stay."""
    held = await claimed(jobs, await jobs.create(new_job(20, 1)))
    for number in range(1, 4):
        some = tuple(DriftExample("missing", f"{number}-{n}") for n in range(15))
        await jobs.progress(held, PageDone(f"key-{number}", 1, examples=some), LEASE)
    (found,) = await jobs.ranges(held.job_id)
    assert len(found.examples) == EXAMPLES_PER_RANGE
    assert [example.key for example in found.examples[13:17]] == ["1-13", "1-14", "2-0", "2-1"]


async def test_a_cut_makes_the_end_of_a_range_pending(jobs: Jobs) -> None:
    """The owner cuts with its next page, and learns its new end; together they cover what the range covered."""
    job_id = await jobs.create(new_job(100, 2))
    owned = await claimed(jobs, job_id)
    await jobs.progress(owned, page("key-00010"), LEASE)
    assert await jobs.ask_cut(owned, "key-00030", 8)
    assert (await jobs.ranges(job_id))[0].cut_at == "key-00030"
    assert await jobs.progress(owned, None, LEASE) == RangeOrders("key-00050", "running", 8, is_cut_asked=True)
    assert await jobs.progress(owned, page("key-00020"), LEASE) == RangeOrders(
        "key-00030", "running", 8, is_cut_asked=True
    )
    assert await jobs.progress(owned, page("key-00020"), LEASE) == RangeOrders("key-00030", "running", 8)
    assert [(each.keys, each.state, each.cut_at) for each in await jobs.ranges(job_id)] == [
        (KeyRange("", "key-00030"), "running", None),
        (KeyRange("key-00050", None), "pending", None),
        (KeyRange("key-00030", "key-00050"), "pending", None),
    ]
    assert (await jobs.get(job_id)).ranges == RangeCounts(pending=2, running=1)
    assert await jobs.leave(owned, "succeeded")
    assert (await jobs.ranges(job_id))[0].position == "key-00030"


@pytest.mark.parametrize("reached", ["key-00030", "key-00040"])
async def test_an_owner_does_not_cut_where_it_has_keys_in_work(jobs: Jobs, reached: str) -> None:
    """They would be counted in both ranges. The wish is over, and another may be asked for."""
    job_id = await jobs.create(new_job(100, 2))
    owned = await claimed(jobs, job_id)
    assert await jobs.ask_cut(owned, "key-00030", 8)
    done = msgspec.structs.replace(page("key-00010"), reached=reached)
    orders = await jobs.progress(owned, done, LEASE)
    assert orders is not None
    assert orders.upto == "key-00050"
    assert [each.keys for each in await jobs.ranges(job_id)] == [KeyRange("", "key-00050"), KeyRange("key-00050", None)]
    assert await jobs.ask_cut(owned, "key-00045", 8)


@pytest.mark.parametrize("cut", ["key-00010", "key-00005", "key-00050", "key-00051"])
async def test_no_cut_is_asked_for_outside_of_what_is_left(jobs: Jobs, cut: str) -> None:
    """Nor at its position, nor at its end."""
    job_id = await jobs.create(new_job(100, 2))
    owned = await claimed(jobs, job_id)
    await jobs.progress(owned, page("key-00010"), LEASE)
    before = await jobs.ranges(job_id)
    assert not await jobs.ask_cut(owned, cut, 8)
    assert await jobs.ranges(job_id) == before


async def test_no_cut_is_asked_for_where_its_owner_or_the_concurrency_forbids_it(jobs: Jobs) -> None:
    """An owner that lost the range, and a concurrency that is used up."""
    owned = await claimed(jobs, await jobs.create(new_job(100, 1)))
    assert not await jobs.ask_cut(owned, "key-00030", 1)
    assert not await jobs.ask_cut(msgspec.structs.replace(owned, claims=0), "key-00030", 2)
    assert await jobs.ask_cut(owned, "key-00030", 2)


async def test_one_cut_at_a_time_is_asked_for(migrated: StoreOptions) -> None:
    """The second asker looks elsewhere."""
    jobs, other = Jobs(migrated), Jobs(migrated)
    owned = await claimed(jobs, await jobs.create(new_job(100, 1)))
    asked = await asyncio.gather(*(each.ask_cut(owned, "key-00050", 8) for each in (jobs, other)))
    assert sorted(asked) == [False, True]
    await jobs.close()
    await other.close()


async def test_owners_that_cut_at_once_make_ranges_of_their_own(migrated: StoreOptions) -> None:
    """Numbers do not clash."""
    jobs, other = Jobs(migrated), Jobs(migrated)
    job_id = await jobs.create(new_job(100, 2))
    first, second = await claimed(jobs, job_id), await claimed(jobs, job_id)
    assert await jobs.ask_cut(first, "key-00030", 8)
    assert await jobs.ask_cut(second, "key-00080", 8)
    await asyncio.gather(
        jobs.progress(first, page("key-00010"), LEASE), other.progress(second, page("key-00060"), LEASE)
    )
    assert [each.number for each in await jobs.ranges(job_id)] == [1, 2, 3, 4]
    await jobs.close()
    await other.close()


async def test_nothing_is_claimed_of_a_job_that_does_not_run(jobs: Jobs) -> None:
    """A worker that holds a range learns it with its next commit, which still counts."""
    job_id = await jobs.create(new_job(100, 2))
    held = await claimed(jobs, job_id)
    assert await jobs.move(job_id, {"running"}, "paused")
    assert await jobs.claim(job_id, "w-2", LEASE) is None
    assert await jobs.progress(held, page("key-00010", listed=10), LEASE) == RangeOrders("key-00050", "paused", 8)
    assert not await jobs.move(job_id, {"running"}, "cancelled")
    assert (await jobs.get(job_id)).counters.listed == 10


async def test_a_redrive_takes_up_the_failed_ranges_where_they_stopped(jobs: Jobs) -> None:
    """What succeeded is not touched, however long ago; the job runs again."""
    job_id = await jobs.create(new_job(100, 2))
    done, broken = await claimed(jobs, job_id), await claimed(jobs, job_id)
    await jobs.leave(done, "succeeded")
    await jobs.progress(broken, page("key-00060"), LEASE)
    await jobs.leave(broken, "failed", "AccessDenied: no\0")
    await jobs.move(job_id, {"running"}, "failed")
    assert [each.error for each in await jobs.ranges(job_id)] == [None, "AccessDenied: no\\x00"]
    assert await jobs.redrive(job_id, {"failed"}) == 1
    assert await jobs.redrive(job_id, {"failed"}) is None
    job = await jobs.get(job_id)
    assert (job.state, job.finished_at, job.ranges) == ("running", None, RangeCounts(pending=1, succeeded=1))
    again = await claimed(jobs, job_id)
    assert (again.number, again.remaining, again.error) == (2, KeyRange("key-00060", None), None)


async def test_tuning_changes_only_what_is_given(jobs: Jobs) -> None:
    """A number replaces a percentage and the other way round."""
    job_id = await jobs.create(new_job(100, 2))
    for concurrency, tolerance, expected in (
        (2, None, (2, Tolerance(0, None))),
        (None, Tolerance(None, 5.0), (2, Tolerance(None, 5.0))),
        (4, Tolerance(7, None), (4, Tolerance(7, None))),
    ):
        assert await jobs.tune(job_id, {"running"}, concurrency=concurrency, tolerance=tolerance)
        job = await jobs.get(job_id)
        assert (job.concurrency, job.tolerance) == expected
    assert not await jobs.tune(job_id, {"paused"}, concurrency=1, tolerance=None)


@pytest.mark.parametrize("state", get_args(RangeState))
@pytest.mark.parametrize("event", get_args(RangeEvent))
async def test_the_statements_follow_the_table_of_ranges(
    jobs: Jobs, database: Database, state: RangeState, event: RangeEvent
) -> None:
    """Each event changes a range in the states of the table, and no other; a running one is claimed after its lease."""
    job_id = await jobs.create(new_job(100, 1))
    claim: Claim | None = await jobs.claim(job_id, "w-1", LEASE)
    assert claim is not None
    held = claim.held
    await database.execute(
        "UPDATE job_ranges SET state = $1, lease_until = CASE WHEN $1 = 'running' THEN now() - interval '1 s' END",
        state,
    )
    if event == "claimed":
        await jobs.claim(job_id, "w-2", LEASE)
    elif event == "redriven":
        await jobs.move(job_id, {"running"}, "failed")
        await jobs.redrive(job_id, {"failed"})
    else:
        await jobs.leave(held, RANGE_TRANSITIONS[event][1])
    sources, target = RANGE_TRANSITIONS[event]
    (found,) = await jobs.ranges(job_id)
    assert found.state == (target if state in sources else state)


async def test_a_released_attempt_does_not_count(jobs: Jobs) -> None:
    """A pause must not bring a range nearer to its end by failure."""
    job_id = await jobs.create(new_job(100, 1))
    for _ in range(3):
        held = await claimed(jobs, job_id)
        assert held.attempts == 1
        await jobs.leave(held, "pending", is_released=True)
    held = await claimed(jobs, job_id)
    await jobs.leave(held, "pending", "SlowDown")
    assert (await claimed(jobs, job_id)).attempts == 2


async def test_a_lost_connection_costs_one_call(migrated: StoreOptions, database: Database) -> None:
    """The next call opens another connection."""
    jobs = Jobs(msgspec.structs.replace(migrated, application_name="lost-connection"))
    job_id = await jobs.create(new_job(100, 1))
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lost-connection'"
    assert [tuple(row) for row in await database.fetch(kill)] == [(True,)]
    with contextlib.suppress(StoreError):  # unless the driver has seen the end of the connection already
        await jobs.get(job_id)
    assert (await jobs.get(job_id)).job_id == job_id
    await jobs.close()


async def test_a_cancelled_call_leaves_nothing_locked(jobs: Jobs, database: Database) -> None:
    """Its connection is closed, and the next call goes on with another."""
    job_id = await jobs.create(new_job(100, 1))
    await database.execute("BEGIN")
    await database.execute("SELECT 1 FROM jobs WHERE job_id = $1 FOR UPDATE", job_id)
    claiming = asyncio.create_task(jobs.claim(job_id, "w-1", LEASE), name="claim")
    async with asyncio.timeout(60):
        while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - there
            await asyncio.sleep(0.01)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await database.execute("ROLLBACK")
    assert (await claimed(jobs, job_id, "w-2")).attempts == 1


async def test_a_claim_costs_as_much_among_many_ranges(jobs: Jobs, migrated: StoreOptions, database: Database) -> None:
    """Of four thousand ranges, most of them done or pending, it reads a few blocks."""
    job_id = await jobs.create(new_job(80_000, 4000))
    await database.execute("UPDATE job_ranges SET state = 'succeeded' WHERE number <= 2000")
    await database.execute("VACUUM job_ranges")
    await claimed(jobs, job_id)
    text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement('jobs_claim', migrated.schema)}"
    plan = json.loads(await database.fetchval(text, job_id, "w-2", LEASE, 8))[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    assert [each.number for each in await jobs.ranges(job_id, states={"running"})] == [2001, 2002]
