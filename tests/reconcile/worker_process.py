"""A worker as a process of its own: `python -m tests.reconcile.worker_process URL SCHEMA JOB TOTAL NAME`."""

from __future__ import annotations

import asyncio
import sys

import asyncpg

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.statements import quoted
from subscriber.reconcile.worker import Worker, WorkerOptions
from tests.reconcile.walks import recorder, walk

PAGE_SECONDS = 0.03
LEASE_SECONDS = 4.0


async def run(url: str, schema: str, job_id: int, total: int, name: str) -> None:
    """Work until the job ends; write its state."""
    jobs = Jobs(StoreOptions(url=url, schema=schema, tls="disable"))
    database = await asyncpg.connect(url, server_settings={"search_path": quoted(schema)})
    do_range = walk(recorder(database), total, name, lambda *_: asyncio.sleep(PAGE_SECONDS))
    options = WorkerOptions(name, slots=2, lease_seconds=LEASE_SECONDS, heartbeat_seconds=0.2, idle_seconds=0.1)
    job = await Worker(jobs, do_range, options).run(job_id)
    print(job.state, flush=True)  # noqa: T201 - the answer to the test
    await jobs.close()
    await database.close()


if __name__ == "__main__":
    _, url, schema, job_id, total, name = sys.argv
    asyncio.run(run(url, schema, int(job_id), int(total), name))
