"""The tables of jobs: workers take ranges by leases, commit pages, and cut ranges; operators steer the jobs.

Every method is one transaction. Leases are measured by the clock of the database alone, so clocks of workers do not
matter. A worker proves that it still holds a range by the number of its claim: after the range was given to another,
whatever the former worker commits changes no row.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.kept_connection import KeptConnection
from subscriber.adapters.postgres.statements import statement
from subscriber.errors import ConfigurationError
from subscriber.jobs import (
    EXAMPLES_PER_RANGE,
    Claim,
    Counters,
    DriftExample,
    Job,
    JobOptions,
    JobRange,
    JobState,
    NewJob,
    PageDone,
    RangeCounts,
    RangeOrders,
    RangeState,
    Tolerance,
)
from subscriber.model import KeyRange

TIMEOUT_SECONDS = 30.0
"""For one call: no statement reads more than the ranges of one job."""

_IF_DENIED = "To work on jobs or to steer them, run config/sql/grants.sql again, or use the owner's role."
_COUNTERS = len(Counters.__struct_fields__)


class Jobs:
    """All jobs of a schema. Every method raises StoreError if the database fails; the caller may repeat it.

    The methods share one connection and take turns. Close it at the end.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._schema = options.schema
        self._kept = KeptConnection(options, TIMEOUT_SECONDS, if_denied=_IF_DENIED)

    async def close(self) -> None:
        """Close the connection."""
        await self._kept.close()

    async def create(self, new: NewJob) -> int:
        """Create a job with its ranges, all or nothing; return its id. Workers may begin at once."""
        tolerance = (new.tolerance.failures, new.tolerance.percent)
        options = msgspec.json.encode(new.options).decode()
        job = (new.kind, new.bucket, new.prefix, options, new.concurrency, *tolerance, new.created_by)
        async with self._transaction() as connection:
            job_id: int = await connection.fetchval(self._sql("create"), *job)
            afters, uptos = [keys.after for keys in new.ranges], [keys.upto for keys in new.ranges]
            await connection.execute(self._sql("add_ranges"), job_id, afters, uptos)
        return job_id

    async def newest(self, at_most: int, before: int | None = None) -> list[Job]:
        """The newest jobs, or those that are older than the job `before`."""
        return await self._jobs(None, before, at_most)

    async def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            ConfigurationError: there is none with this id.
        """
        found = await self._jobs(job_id, None, 1)
        if not found:
            raise _no_job(job_id)
        return found[0]

    async def ranges(
        self, job_id: int, after_number: int = 0, at_most: int = 1000, states: Collection[RangeState] | None = None
    ) -> list[JobRange]:
        """The ranges after a number, in order, in any of `states` (None: in all)."""
        wanted = None if states is None else [*states]
        async with self._kept.use() as connection:
            rows = await connection.fetch(self._sql("ranges"), job_id, after_number, at_most, wanted)
        return [_range(row) for row in rows]

    async def counts(self, job_id: int) -> RangeCounts:
        """How many ranges are in each state."""
        async with self._kept.use() as connection:
            rows = await connection.fetch(self._sql("counts"), job_id)
        return RangeCounts(*rows[0])

    async def claim(self, job_id: int, worker: str, lease_seconds: float) -> Claim | None:
        """Take the next range that is pending, or whose lease is over, for so many seconds.

        None: there is none, or the job does not run, or as many ranges as its concurrency are in work.

        Raises:
            ConfigurationError: there is no such job.
        """
        async with self._transaction() as connection:
            state, concurrency = await self._lock(connection, job_id)
            if state != "running":
                return None
            row = await connection.fetchrow(self._sql("claim"), job_id, worker, lease_seconds, concurrency)
            if row is None:
                return None
            await connection.execute(self._sql("start"), job_id)
        return Claim(_range(row), concurrency)

    async def progress(self, held: JobRange, page: PageDone | None, lease_seconds: float) -> RangeOrders | None:
        """Commit a page and prolong the lease in one statement; without a page, only prolong the lease.

        None: the range belongs to another worker, or is done. A call whose outcome is unknown may be repeated: a page
        is counted once for each position. If an idle worker wants the end of the range, a page gives it away, where
        none of its keys is in work.
        """
        position, moment = (page.position, page.moment) if page else (None, None)
        counters = msgspec.structs.astuple(page.counters if page else Counters())
        examples = msgspec.json.encode(page.examples if page else ()).decode().replace("\\u0000", "\\ufffd")
        range_id = (held.job_id, held.number, held.claims)
        async with self._kept.use() as connection:
            row = await connection.fetchrow(
                self._sql("progress"),
                *range_id,
                lease_seconds,
                position,
                moment,
                *counters,
                examples,
                EXAMPLES_PER_RANGE,
            )
        if row is None:
            return None
        orders = RangeOrders(*row)
        if page is not None and orders.is_cut_asked:
            return msgspec.structs.replace(orders, upto=await self._cut(held, page, orders.upto))
        return orders

    async def leave(
        self, held: JobRange, state: RangeState, error: str | None = None, *, is_released: bool = False
    ) -> bool:
        """End the worker's hold on a range; it gets this state. False: it belongs to another worker, or is done.

        Args:
            held: as it was claimed.
            state: `succeeded`, `failed`, or `pending` if somebody is to try again.
            error: a sentence.
            is_released: the range itself is not the reason, so the attempt does not count.
        """
        range_id = (held.job_id, held.number, held.claims)
        text = None if error is None else error.replace("\0", "\\x00")
        async with self._kept.use() as connection:
            return await connection.fetchval(self._sql("leave"), *range_id, state, text, is_released) is not None

    async def ask_cut(self, owned: JobRange, cut: str, concurrency: int) -> bool:
        """Ask the owner of a range for the keys after `cut`: it makes them a pending range with its next page.

        It does so only if it has none of them in work, so each key is done once. False: the range has changed, its
        owner is past the cut, another cut is asked for, or as many ranges as `concurrency` are in work.
        """
        values = (owned.job_id, owned.number, owned.claims, cut, concurrency)
        async with self._kept.use() as connection:
            return await connection.fetchval(self._sql("ask_cut"), *values) is not None

    async def move(self, job_id: int, sources: Collection[JobState], target: JobState) -> bool:
        """Give a job another state; False: its state is none of `sources`."""
        async with self._kept.use() as connection:
            return await connection.fetchval(self._sql("move"), job_id, [*sources], target) is not None

    async def redrive(self, job_id: int, sources: Collection[JobState]) -> int | None:
        """Make the failed ranges pending and the job running; return their number.

        None: its state is none of `sources`. What was pending stays so, what succeeded is not done again, and a range
        goes on where it failed.
        """
        async with self._transaction() as connection:
            if await connection.fetchval(self._sql("move"), job_id, [*sources], "running") is None:
                return None
            return int((await connection.execute(self._sql("redrive"), job_id)).rpartition(" ")[2])

    async def tune(
        self, job_id: int, sources: Collection[JobState], *, concurrency: int | None, tolerance: Tolerance | None
    ) -> bool:
        """Change what is not None; workers obey with their next commit. False: its state is none of `sources`."""
        failures, percent = (tolerance.failures, tolerance.percent) if tolerance else (None, None)
        async with self._kept.use() as connection:
            values = (job_id, concurrency, failures, percent, [*sources])
            return await connection.fetchval(self._sql("tune"), *values) is not None

    async def _cut(self, held: JobRange, page: PageDone, upto: str | None) -> str | None:
        """Answer the wish for a cut; return the end of the range, which was `upto`."""
        in_work = max(page.position, page.reached)
        async with self._transaction() as connection:
            await self._lock(connection, held.job_id)
            row = await connection.fetchrow(self._sql("cut"), held.job_id, held.number, held.claims, in_work)
        return upto if row is None else row["upto"]

    async def _jobs(self, job_id: int | None, before: int | None, at_most: int) -> list[Job]:
        async with self._kept.use() as connection:
            return [_job(row) for row in await connection.fetch(self._sql("list"), job_id, before, at_most)]

    async def _lock(self, connection: Connection, job_id: int) -> tuple[JobState, int]:
        row = await connection.fetchrow(self._sql("lock"), job_id)
        if row is None:
            raise _no_job(job_id)
        return row["state"], row["concurrency"]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._kept.use() as connection, connection.transaction():
            yield connection

    def _sql(self, name: str) -> str:
        return statement(f"jobs_{name}", self._schema)


def _no_job(job_id: int) -> ConfigurationError:
    return ConfigurationError(f"there is no job {job_id}; `subscriber jobs list` shows them")


def _range(row: Iterable[Any]) -> JobRange:
    """A range from the columns of jobs_range_columns.sql."""
    values = iter(row)
    job_id, number = _next(values, 2)
    keys = KeyRange(*_next(values, 2))
    position, state, attempts, claims, worker, lease_until, moment = _next(values, 7)
    counters = Counters(*_next(values, _COUNTERS))
    examples = msgspec.json.decode(next(values), type=tuple[DriftExample, ...])
    held = (position, state, attempts, claims, worker, lease_until, moment)
    return JobRange(job_id, number, keys, *held, counters, examples, *values)


def _job(row: Iterable[Any]) -> Job:
    """A job from the columns of jobs_list.sql."""
    values = iter(row)
    job_id, kind, bucket, prefix = _next(values, 4)
    options = msgspec.json.decode(next(values), type=JobOptions)
    state, concurrency = _next(values, 2)
    tolerance = Tolerance(*_next(values, 2))
    created_by, created_at, started_at, finished_at = _next(values, 4)
    return Job(
        job_id=job_id,
        kind=kind,
        bucket=bucket,
        prefix=prefix,
        options=options,
        state=state,
        concurrency=concurrency,
        tolerance=tolerance,
        created_by=created_by,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        ranges=RangeCounts(*_next(values, 4)),
        begun_again=next(values),
        counters=Counters(*values),
    )


def _next(values: Iterator[Any], count: int) -> list[Any]:
    return [*itertools.islice(values, count)]
