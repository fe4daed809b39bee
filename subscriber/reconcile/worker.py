"""Works on the ranges of a job, beside any number of other workers, until the job ends.

A worker holds a range by a lease that a heartbeat prolongs, and commits its position after each page. Where the worker
ends in any way, another one goes on after that position: at most the page in work is done twice, which is harmless.
Heartbeats also bring the orders of operators, so that a pause or a cancellation interrupts a page within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeAlias, TypeVar

import msgspec

from subscriber.adapters.postgres.jobs import Jobs
from subscriber.errors import ListingError, StoreError
from subscriber.flow.backoff import Backoff
from subscriber.jobs import Claim, Job, JobRange, JobState, PageDone, RangeOrders, RangeState
from subscriber.observe.log import get_logger
from subscriber.reconcile.job import ATTEMPTS_AT_MOST, Duty, duty, is_complete, is_given_up, outcome, state_after_error

T = TypeVar("T")

DoRange: TypeAlias = Callable[[Job, JobRange], AsyncGenerator[PageDone, str | None]]
"""Does `range.remaining` page by page: each page is yielded when all it calls for is committed, and its position is
after that of the page before. The iterator ends after the last key of the range. It may be closed at any await. The
range may end earlier meanwhile, behind the keys that `PageDone.reached` says are in work: its present end is sent as
the answer to each page, and after a page that reaches it, the iterator is closed.

It raises ListingError or StoreError; the range is then tried again where it stands, as long as that may help.
"""

ChooseSplit: TypeAlias = Callable[[Job, Sequence[JobRange]], Awaitable[tuple[JobRange, str] | None]]
"""Of which of the ranges in work an idle worker wants the end, and after which key; None: none is worth it."""

RETRY_BACKOFF = Backoff(first_seconds=0.5, max_seconds=15.0, jitter=0.5)
RELEASE_SECONDS = 5.0
"""For giving a range back at a stop; its lease ends by itself otherwise."""
SPLIT_CANDIDATES = 100
"""Ranges in work that an idle worker looks at."""

_RUNNING: frozenset[RangeState] = frozenset({"running"})

_log = get_logger()


class WorkerOptions(msgspec.Struct, frozen=True):
    """Options of one worker."""

    name: str
    """For operators: host or task, and process."""
    slots: int = 4
    """Ranges that it has in work at once, if the job's concurrency lets it."""
    lease_seconds: float = 60.0
    """After which the range of a worker that has died goes to another."""
    heartbeat_seconds: float = 3.0
    """After which a pause or a cancellation is seen at the latest."""
    idle_seconds: float = 2.0
    """Between two looks for work."""


class _Holding:
    """A range in work, and how its work is interrupted."""

    def __init__(self, claim: Claim, scope: asyncio.Timeout, now: float) -> None:
        self.held = claim.held
        self.duty: Duty = "go_on"
        self.upto = claim.held.keys.upto
        self.renewed_at = now
        self._concurrency = claim.concurrency
        self._scope = scope

    def obey(self, orders: RangeOrders | None, now: float) -> None:
        """Take the answer to a commit or a heartbeat."""
        self.duty = duty(orders, self._concurrency)
        self.renewed_at = now
        self.upto = self.upto if orders is None else orders.upto

    def interrupt(self, now: float) -> None:
        """Cancel what the range has in work."""
        self._scope.reschedule(now)


class Worker:
    """One worker of a job.

    Args:
        jobs: the tables.
        do_range: does the keys of a range.
        options: of this worker.
        choose_split: where to cut a range in work when no other is left; None: never.
    """

    def __init__(
        self, jobs: Jobs, do_range: DoRange, options: WorkerOptions, choose_split: ChooseSplit | None = None
    ) -> None:
        self._jobs = jobs
        self._do_range = do_range
        self._options = options
        self._choose_split = choose_split
        self._turn = asyncio.Lock()
        """Only one slot at a time looks for work."""

    async def run(self, job_id: int) -> Job:
        """Work until the job has ended, whoever ends it; return it as it is then. While it is paused, wait.

        Cancelled, it gives its ranges back.

        Raises:
            ConfigurationError: there is no such job.
            StoreError: the database failed for good, or for as long as a lease; the job can be resumed.
        """
        job = await self._insist(lambda: self._jobs.get(job_id))
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(self._options.slots):
                    group.create_task(self._work(job), name=f"job-{job_id}-slot-{slot}")
        except ExceptionGroup as errors:  # slots that fail together fail for one reason
            raise errors.exceptions[0] from None
        return await self._insist(lambda: self._jobs.get(job_id))

    async def _work(self, job: Job) -> None:
        while (claim := await self._next(job)) is not None:
            try:
                await self._hold(job, claim)
            except asyncio.CancelledError:
                await self._give_back(claim.held)
                raise

    async def _next(self, job: Job) -> Claim | None:
        """The next range; None: the job has ended."""
        async with self._turn:
            while True:
                claim = await self._insist(lambda: self._claim(job))
                if claim is not None:
                    return claim
                if await self._insist(lambda: self._state(job.job_id)) not in {"running", "paused"}:
                    return None
                await self._insist(lambda: self._ask_cut(job))
                await asyncio.sleep(self._options.idle_seconds)

    async def _claim(self, job: Job) -> Claim | None:
        options = self._options
        claim = await self._jobs.claim(job.job_id, options.name, options.lease_seconds)
        while claim is not None and is_given_up(claim.held):
            error = f"{ATTEMPTS_AT_MOST} workers in a row ended without finishing a page of it; see their logs"
            await self._leave_broken(claim.held, error)
            claim = await self._jobs.claim(job.job_id, options.name, options.lease_seconds)
        return claim

    async def _state(self, job_id: int) -> JobState:
        """The state of the job, which ends here if its ranges say so."""
        now = await self._jobs.get(job_id)
        if now.state != "running":
            return now.state
        state = outcome(now.ranges, now.tolerance)
        if state != "running" and await self._jobs.move(job_id, {"running"}, state):
            _log.info("job.ended", job=job_id, state=state, failed_ranges=now.ranges.failed)
        return state

    async def _ask_cut(self, job: Job) -> None:
        """Ask for the end of a range that another slot or worker has in work; it is pending soon."""
        if self._choose_split is None:
            return
        running = await self._jobs.ranges(job.job_id, at_most=SPLIT_CANDIDATES, states=_RUNNING)
        choice = await self._choose_split(job, running) if running else None
        if choice is not None:
            owned, cut = choice
            await self._jobs.ask_cut(owned, cut, (await self._jobs.get(job.job_id)).concurrency)

    async def _hold(self, job: Job, claim: Claim) -> None:
        """Work on a range until it is done or given up, and say what becomes of it."""
        try:
            holding, is_done = await self._do(job, claim)
        except (ListingError, StoreError) as error:
            await self._fail(claim.held, error)
            return
        if is_done:
            await self._insist(lambda: self._jobs.leave(claim.held, "succeeded"))
        elif holding.duty == "release":
            await self._insist(lambda: self._jobs.leave(claim.held, "pending", is_released=True))
        else:
            _log.warning("range.lost", job=job.job_id, range=claim.held.number)

    async def _do(self, job: Job, claim: Claim) -> tuple[_Holding, bool]:
        clock = asyncio.get_running_loop().time
        scope = asyncio.timeout(None)
        holding = _Holding(claim, scope, clock())
        heart = asyncio.create_task(self._keep(holding), name=f"job-{job.job_id}-range-{claim.held.number}-lease")
        try:
            async with scope:
                return holding, await self._pages(job, holding)
        except TimeoutError:
            if not scope.expired():
                raise
            return holding, False
        finally:
            heart.cancel()
            await asyncio.wait([heart])
            if not heart.cancelled():
                heart.result()  # an error that it did not expect

    async def _pages(self, job: Job, holding: _Holding) -> bool:
        """Do page after page; whether the range is done."""
        clock = asyncio.get_running_loop().time
        async with aclosing(self._do_range(job, holding.held)) as pages:
            page = await anext(pages, None)
            while page is not None:
                holding.obey(await self._insist(partial(self._commit, holding, page)), clock())
                if holding.duty == "forget":
                    return False
                if is_complete(page.position, holding.upto):
                    return True
                if holding.duty == "release":
                    return False
                page = await _answered(pages, holding.upto)
        return True

    async def _commit(self, holding: _Holding, page: PageDone | None) -> RangeOrders | None:
        return await self._jobs.progress(holding.held, page, self._options.lease_seconds)

    async def _keep(self, holding: _Holding) -> None:
        """Prolong the lease until the range is no longer ours, or its job no longer runs."""
        clock = asyncio.get_running_loop().time
        while holding.duty == "go_on":
            await asyncio.sleep(self._options.heartbeat_seconds)
            try:
                holding.obey(await self._commit(holding, None), clock())
            except StoreError:
                if clock() - holding.renewed_at >= self._options.lease_seconds:
                    holding.duty = "forget"
        holding.interrupt(clock())

    async def _fail(self, held: JobRange, error: ListingError | StoreError) -> None:
        """Let the range be tried again, after a pause, or let it fail.

        Raises:
            StoreError: the error itself, if it is of the whole database and only an operator can fix it.
        """
        if isinstance(error, StoreError) and error.treatment.is_final_at_start:
            await self._give_back(held)
            raise error
        is_permanent = error.is_permanent if isinstance(error, ListingError) else error.treatment.concerns_row
        current = await self._insist(lambda: self._jobs.ranges(held.job_id, held.number - 1, 1))
        attempts = current[0].attempts if current else held.attempts
        state = state_after_error(attempts, is_permanent=is_permanent)
        if state == "failed":
            await self._leave_broken(held, str(error))
            return
        await asyncio.sleep(RETRY_BACKOFF.delay_seconds(attempts))
        await self._insist(lambda: self._jobs.leave(held, "pending", str(error)))

    async def _leave_broken(self, held: JobRange, error: str) -> None:
        _log.error("range.failed", job=held.job_id, range=held.number, error=error)
        await self._insist(lambda: self._jobs.leave(held, "failed", error))
        await self._insist(lambda: self._state(held.job_id))  # one failure more may end the job

    async def _give_back(self, held: JobRange) -> None:
        """At a stop: another worker may go on at once. If it fails, the lease ends by itself."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._jobs.leave(held, "pending", is_released=True)
        except (StoreError, TimeoutError):
            _log.warning("range.kept", job=held.job_id, range=held.number, lease_seconds=self._options.lease_seconds)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while the database is unavailable, for as long as a lease."""
        clock = asyncio.get_running_loop().time
        ends_at = clock() + self._options.lease_seconds
        failures = 0
        while True:
            try:
                return await call()
            except StoreError as error:
                failures += 1
                delay = RETRY_BACKOFF.delay_seconds(failures)
                if not error.treatment.is_transient or clock() + delay >= ends_at:
                    raise
            await asyncio.sleep(delay)


async def _answered(pages: AsyncGenerator[PageDone, str | None], upto: str | None) -> PageDone | None:
    """The next page, after the end of the range was sent; None: there is none."""
    try:
        return await pages.asend(upto)
    except StopAsyncIteration:
        return None
