"""Counts of a job whose ranges are cut again and again, while their owners have pages in work: each key once."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from random import Random

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.jobs import Counters, Job, JobRange, PageDone
from subscriber.reconcile.worker import Worker, WorkerOptions
from tests.reconcile.walks import MOMENT, key, new_job

TOTAL = 300
SEEDS = 40
WORKERS = 3


class Walk:
    """Does pages of a random length, of which some stay open: counted, and committed later, as those with suspects."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.done = Counter[str]()
        self.cuts = 0

    async def do_range(self, _: Job, held: JobRange) -> AsyncGenerator[PageDone, str | None]:
        """See worker.DoRange."""
        upto, after = held.remaining.upto, held.remaining.after
        open_pages = deque[list[str]]()
        kept = self.random.randint(0, 3)
        while page := self._page(after, upto):
            after = page[-1]
            open_pages.append(page)
            await asyncio.sleep(self.random.random() / 200)
            while len(open_pages) > kept:
                upto = yield self._finished(open_pages.popleft(), after)
        while open_pages:
            upto = yield self._finished(open_pages.popleft(), after)

    async def halve(self, _: Job, running: Sequence[JobRange]) -> tuple[JobRange, str] | None:
        """Any cut in what is left of any range, which may be in its owner's work."""
        free = [each for each in running if each.cut_at is None]
        if not free:
            return None
        owned = self.random.choice(free)
        begin = int((owned.position or owned.keys.after or "key-0")[4:])
        end = TOTAL if owned.keys.upto is None else int(owned.keys.upto[4:])
        if end - begin < 2:
            return None
        self.cuts += 1
        return owned, key(self.random.randint(begin + 1, end - 1))

    def _page(self, after: str, upto: str | None) -> list[str]:
        keys = [key(n) for n in range(1, TOTAL + 1) if key(n) > after and (upto is None or key(n) <= upto)]
        return keys[: self.random.randint(1, 15)]

    def _finished(self, page: list[str], reached: str) -> PageDone:
        self.done.update(page)
        return PageDone(page[-1], MOMENT, Counters(listed=len(page)), (), reached)


@pytest.mark.parametrize("part", range(4))
async def test_each_key_is_done_and_counted_once(migrated: StoreOptions, part: int) -> None:
    """Whatever an idle worker asks for, and whenever."""
    cuts = 0
    for seed in range(part, SEEDS, 4):
        walk = Walk(Random(seed))
        tables = [Jobs(migrated) for _ in range(WORKERS)]
        job_id = await tables[0].create(new_job(TOTAL, 2))
        options = WorkerOptions("w", slots=2, heartbeat_seconds=0.05, idle_seconds=0.002)
        await asyncio.gather(*(Worker(jobs, walk.do_range, options, walk.halve).run(job_id) for jobs in tables))
        job = await tables[0].get(job_id)
        assert (job.state, job.counters.listed) == ("succeeded", TOTAL)
        assert walk.done == Counter(key(number) for number in range(1, TOTAL + 1))
        cuts += job.ranges.total - 2
        for jobs in tables:
            await jobs.close()
    assert cuts  # how many there are depends on the pace of the machine
