"""Several workers list each entry once, cover each key once, keep the order of each part, and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import ListingError
from subscriber.model import KeyRange, ListedVersion
from subscriber.reconcile.parallel_listing import ParallelListing, PartPage
from subscriber.reconcile.ranges import ranges_between
from subscriber.reconcile.splitting import FREE_LOOKAHEADS, LOOKAHEADS_PER_PAGE
from tests.adapters.s3.buckets import in_range, version
from tests.fakes.virtual_time import VirtualTimeLoop

KEYS = st.text(st.sampled_from("a/0é\U0010ffff"), min_size=1, max_size=6)


class MemoryLister:
    """A bucket in memory; each request takes a time of its own."""

    def __init__(self, entries: Sequence[ListedVersion], page_size: int, seed: int = 1) -> None:
        self._entries = entries
        self._page_size = page_size
        self._random = Random(seed)
        self.pages_given = 0
        self.lookaheads = 0
        self.fails_at = -1
        """The page that fails."""

    async def server_time(self) -> int:
        """Not asked here."""
        raise NotImplementedError

    async def first_key(self, keys: KeyRange) -> str | None:
        """See SplittableLister."""
        self.lookaheads += 1
        await asyncio.sleep(self._random.random())
        return next((entry.key for entry in in_range(self._entries, keys)), None)

    async def pages(self, keys: KeyRange) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """See SplittableLister."""
        found = in_range(self._entries, keys)
        for start in range(0, len(found), self._page_size):
            await asyncio.sleep(self._random.random())
            if self.pages_given == self.fails_at:
                raise ListingError("InternalError", "no")
            self.pages_given += 1
            yield found[start : start + self._page_size]


def listed(lister: MemoryLister, ranges: Sequence[KeyRange], workers: int) -> tuple[list[PartPage], float]:
    """All pages, and how long it took."""
    pages: list[PartPage] = []

    async def take(page: PartPage) -> None:
        await asyncio.sleep(0.1)
        pages.append(page)

    async def scenario() -> float:
        await ParallelListing(lister, ranges, take).run(workers)
        return asyncio.get_running_loop().time() - 1000.0

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return pages, runner.run(scenario())


def check(pages: Sequence[PartPage], entries: Sequence[ListedVersion], within: KeyRange) -> None:
    """Each entry once and in its page's range; the ranges of the pages are the whole, without gap or overlap."""
    found = [entry for page in pages for entry in page.entries]
    assert sorted(found, key=repr) == sorted(in_range(entries, within), key=repr)
    for page in pages:  # the versions of the key at its beginning may go on from the page before
        after, upto = page.keys.after, page.keys.upto
        assert all(after <= entry.key and (upto is None or entry.key <= upto) for entry in page.entries)
    covers = sorted((page.keys for page in pages), key=lambda keys: (keys.after, keys.upto or "\U0010ffff" * 9))
    at = within.after
    for keys in covers:
        assert keys.after == at or (keys.after == keys.upto == at)
        at = keys.upto if keys.upto is not None else "end"
    assert at == ("end" if within.upto is None else within.upto)
    for number in {page.part for page in pages}:
        of_part = [entry for page in pages if page.part == number for entry in page.entries]
        assert of_part == [entry for entry in entries if entry in of_part]


@settings(max_examples=150, deadline=None)
@given(
    keys=st.sets(KEYS, max_size=60).map(sorted),
    stacks=st.integers(1, 3),
    cuts=st.lists(KEYS, max_size=3),
    workers=st.integers(1, 6),
    size=st.integers(1, 8),
    seed=st.integers(0, 10**6),
)
def test_each_entry_once_and_each_key_covered_once(
    keys: list[str], stacks: int, cuts: list[str], workers: int, size: int, seed: int
) -> None:
    """Any keys, stacks, first ranges, numbers of workers, page sizes and order of answers."""
    entries = [version(key, str(number)) for key in keys for number in range(stacks)]
    lister = MemoryLister(entries, size, seed)
    pages, _ = listed(lister, ranges_between(cuts, KeyRange()), workers)
    check(pages, entries, KeyRange())
    assert lister.lookaheads <= FREE_LOOKAHEADS + LOOKAHEADS_PER_PAGE * lister.pages_given


@pytest.mark.parametrize("workers", [1, 8])
def test_idle_workers_take_over_half(workers: int) -> None:
    """Eight workers list what begins as one range of a lake several times as fast as one."""
    keys = [f"lake/site={site:04}/date=2025-{day:03}/part-{part:05}.parquet"
            for site in range(20) for day in range(10) for part in range(20)]  # fmt: skip
    entries = [version(key) for key in keys]
    lister = MemoryLister(entries, 20)
    pages, seconds = listed(lister, [KeyRange("lake/")], workers)
    check(pages, entries, KeyRange("lake/"))
    alone_seconds = 200 * 0.6
    assert seconds < alone_seconds * 1.1 if workers == 1 else seconds < alone_seconds / 4
    assert lister.pages_given <= 200 * 1.5
    assert lister.lookaheads <= (0 if workers == 1 else 150)


def test_a_failure_ends_all_workers_with_its_own_error() -> None:
    """What was taken before stands; the error is S3's and no group."""
    entries = [version(f"{number:04}") for number in range(500)]
    lister = MemoryLister(entries, 10)
    lister.fails_at = 20
    with pytest.raises(ListingError, match="InternalError: no"):
        listed(lister, [KeyRange()], 4)


def test_a_cancelled_listing_leaves_nothing_running() -> None:
    """At any moment: every worker has ended, and every chain of pages is closed."""
    entries = [version(f"{number:04}") for number in range(500)]

    class ClosingLister(MemoryLister):
        open_chains = 0

        async def pages(self, keys: KeyRange) -> AsyncGenerator[Sequence[ListedVersion], None]:
            self.open_chains += 1
            try:
                async for page in super().pages(keys):
                    yield page
            finally:
                self.open_chains -= 1

    async def take(page: PartPage) -> None:
        await asyncio.sleep(0.1)

    async def scenario(seconds: float) -> None:
        lister = ClosingLister(entries, 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await ParallelListing(lister, [KeyRange()], take).run(4)
        assert lister.open_chains == 0
        assert len(asyncio.all_tasks()) == 1

    for tenths in range(1, 60, 7):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(scenario(tenths / 10))


def test_no_range_is_listed_at_once() -> None:
    """An empty plan ends."""
    assert listed(MemoryLister([], 1), [], 3) == ([], 0.0)
