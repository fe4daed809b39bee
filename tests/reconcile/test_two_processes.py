"""Two real processes share a job, and one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TypeAlias

import asyncpg

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from testkit.process import Child, child_process
from tests.e2e.environment import until
from tests.reconcile.walks import PAGE_KEYS, key, make_record, new_job

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

COMMAND = [sys.executable, "-m", "tests.reconcile.worker_process"]
TOTAL = 1_200
RANGES = 12
SLOTS = 2
"""Ranges that each process has in work at once (worker_process.py)."""


@asynccontextmanager
async def pages_held(database: Database) -> AsyncIterator[None]:
    """No key is recorded while the block runs: each process stands still in its pages, and holds its ranges."""
    async with database.transaction():
        await database.execute("LOCK TABLE done IN EXCLUSIVE MODE")
        yield


async def start_both(stack: ExitStack, database: Database, *command: str) -> list[Child]:
    """Two processes that both have ranges in work before either does a page."""
    async with pages_held(database), asyncio.timeout(60):
        children = [stack.enter_context(child_process(name, [*command, name])) for name in ("first", "second")]
        taking = "SELECT count(DISTINCT worker) FROM job_ranges WHERE state = 'running'"
        while await database.fetchval(taking) < len(children):  # noqa: ASYNC110 - in the database
            await asyncio.sleep(0.05)
    return children


async def has_killed(database: Database, child: Child) -> bool:
    """Kill the first process if both have done five pages and it holds a range."""
    async with pages_held(database):
        counts = [row[0] for row in await database.fetch("SELECT count(*) FROM done GROUP BY worker")]
        held = await database.fetch("SELECT FROM job_ranges WHERE worker = 'first' AND state = 'running'")
        if len(counts) < 2 or min(counts) < 5 * PAGE_KEYS or not held:
            return False
        os.kill(child.pid, signal.SIGKILL)
        return True


async def test_a_killed_worker_costs_at_most_a_page_of_each_range_it_held(
    migrated: StoreOptions, database: Database
) -> None:
    """The other one takes its ranges when their leases are over: every key is done, and hardly any twice."""
    await make_record(database)
    jobs = Jobs(migrated)
    job_id = await jobs.create(new_job(TOTAL, RANGES))
    with ExitStack() as stack:
        arguments = [migrated.url, migrated.schema, str(job_id), str(TOTAL)]
        first, second = await start_both(stack, database, *COMMAND, *arguments)
        while not await has_killed(database, first):  # noqa: ASYNC110 - it lets them do what they wait for
            await asyncio.sleep(0)
        while (line := second.read_line(60)) != b"succeeded\n":
            assert b"[error" not in line
        await until(lambda: not (first.is_running or second.is_running))
        assert (first.stop(), second.stop()) == (-signal.SIGKILL, 0)
    done = Counter(row["key"] for row in await database.fetch("SELECT key FROM done"))
    each_once = Counter(key(number) for number in range(1, TOTAL + 1))
    assert done >= each_once
    assert (done - each_once).total() <= PAGE_KEYS * SLOTS
    job = await jobs.get(job_id)
    assert (job.state, job.ranges.succeeded) == ("succeeded", RANGES)
    assert job.counters.listed == TOTAL
    assert job.begun_again > 0
    await jobs.close()


async def test_two_processes_pause_within_seconds_and_go_on(migrated: StoreOptions, database: Database) -> None:
    """After a pause no range is in work and no key is done any more; after a resume none is missing."""
    await make_record(database)
    jobs = Jobs(migrated)
    job_id = await jobs.create(new_job(TOTAL, RANGES))
    with ExitStack() as stack:
        arguments = [migrated.url, migrated.schema, str(job_id), str(TOTAL)]
        children = await start_both(stack, database, *COMMAND, *arguments)
        assert await jobs.move(job_id, {"running"}, "paused")
        async with asyncio.timeout(60):
            while (await jobs.get(job_id)).ranges.running:  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.05)
        counted = await database.fetchval("SELECT count(*) FROM done")
        assert counted < TOTAL
        assert (await jobs.get(job_id)).counters.listed <= counted
        await asyncio.sleep(0.5)  # the time of many pages
        assert await database.fetchval("SELECT count(*) FROM done") == counted
        assert await jobs.move(job_id, {"paused"}, "running")
        await until(lambda: not any(child.is_running for child in children))
        assert [child.stop() for child in children] == [0, 0]
    done = Counter(row["key"] for row in await database.fetch("SELECT key FROM done"))
    each_once = Counter(key(number) for number in range(1, TOTAL + 1))
    assert done >= each_once
    assert (done - each_once).total() <= PAGE_KEYS * SLOTS * len(children)
    await jobs.close()
