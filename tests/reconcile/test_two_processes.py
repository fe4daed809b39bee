"""Two real processes share a job, and one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TypeAlias

import asyncpg

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from testkit.process import Child, child_process
from tests.e2e.environment import until
from tests.reconcile.walks import PAGE_KEYS, key, make_record, new_job

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TOTAL = 1_200
RANGES = 12
SLOTS = 2
"""Ranges that each process has in work at once (worker_process.py)."""


async def test_a_killed_worker_costs_at_most_a_page_of_each_range_it_held(
    migrated: StoreOptions, database: Database
) -> None:
    """The other one takes its ranges when their leases are over: every key is done, and hardly any twice."""
    await make_record(database)
    jobs = Jobs(migrated)
    job_id = await jobs.create(new_job(TOTAL, RANGES))
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.reconcile.worker_process"]
        arguments = [migrated.url, migrated.schema, str(job_id), str(TOTAL)]
        first, second = (
            stack.enter_context(child_process(name, [*command, *arguments, name])) for name in ("first", "second")
        )
        counts = {"first": 0, "second": 0}
        while min(counts.values()) < 5 * PAGE_KEYS:
            rows = await database.fetch("SELECT worker, count(*) FROM done GROUP BY worker")
            counts |= {row["worker"]: row["count"] for row in rows}
            await asyncio.sleep(0.05)
        _kill(first)
        held = await database.fetch("SELECT number FROM job_ranges WHERE worker = 'first'")
        assert held
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
    assert TOTAL <= job.counters.listed <= TOTAL + PAGE_KEYS * SLOTS
    await jobs.close()


async def test_two_processes_pause_within_seconds_and_go_on(migrated: StoreOptions, database: Database) -> None:
    """After a pause no range is in work and no key is done any more; after a resume none is missing."""
    await make_record(database)
    jobs = Jobs(migrated)
    job_id = await jobs.create(new_job(TOTAL, RANGES))
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.reconcile.worker_process"]
        arguments = [migrated.url, migrated.schema, str(job_id), str(TOTAL)]
        children = [stack.enter_context(child_process(name, [*command, *arguments, name])) for name in ("a", "b")]
        async with asyncio.timeout(60):
            while await database.fetchval("SELECT count(DISTINCT worker) FROM done") < 2:  # noqa: ASYNC110 - theirs
                await asyncio.sleep(0.05)
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


def _kill(child: Child) -> None:
    os.kill(child.pid, signal.SIGKILL)
