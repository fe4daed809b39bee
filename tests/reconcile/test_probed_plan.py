"""A plan of a bucket that the index does not know is cut by requests for one key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest

from subscriber.model import KeyRange, ListedVersion
from subscriber.reconcile.probed_plan import REQUESTS_PER_RANGE, probed_ranges
from subscriber.reconcile.ranges import prefix_range
from subscriber.reconcile.splitting import FREE_LOOKAHEADS
from testkit.s3.generated import GeneratedBucket, GeneratedPlan


class KeyLister:
    """Tells the first key of a range, and counts how often it is asked."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = sorted(keys)
        self.requests = 0

    async def server_time(self) -> int:
        """It is asked for no page."""
        raise NotImplementedError

    def pages(self, keys: KeyRange) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """No page is asked for."""
        raise NotImplementedError(keys)

    async def first_key(self, keys: KeyRange) -> str | None:
        """See SplittableLister."""
        self.requests += 1
        at = bisect_right(self.keys, keys.after)
        return self.keys[at] if at < len(self.keys) and (keys.upto is None or self.keys[at] <= keys.upto) else None

    def count(self, keys: KeyRange) -> int:
        """How many keys a range has."""
        upto = len(self.keys) if keys.upto is None else bisect_right(self.keys, keys.upto)
        return upto - bisect_right(self.keys, keys.after)


def lake(layout: str) -> list[str]:
    """Keys of a generated bucket."""
    plan = GeneratedPlan(keys=12_000, keys_per_block=100, is_versioned=False, layout="mixed" if layout else "lake")
    return [entry.key.decode() for entry in GeneratedBucket(plan).entries(is_versions=False)]


BUCKETS = {
    "lake": lake(""),
    "hostile": lake("mixed"),
    "dates": [f"logs/2026/{day // 28 + 1:02}/{day % 28 + 1:02}/{n:03}.gz" for day in range(300) for n in range(20)],
    "umlauts": [f"ä/ö{number:05}" for number in range(5_000)],
}


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("count", [2, 16, 64])
async def test_about_so_many_ranges_with_keys_in_each(bucket: str, count: int) -> None:
    """Together they are the bucket; none has more than a few times its share; the requests are bounded."""
    lister = KeyLister(BUCKETS[bucket])
    ranges = await probed_ranges(lister, KeyRange(), [KeyRange()], count)
    sizes = [lister.count(each) for each in ranges]
    assert (len(ranges), sum(sizes)) == (count, len(lister.keys))
    assert (ranges[0].after, ranges[-1].upto) == ("", None)
    assert all(one.upto == other.after for one, other in pairwise(ranges))
    assert min(sizes) > 0
    assert max(sizes) < 4 * len(lister.keys) / count
    assert lister.requests <= FREE_LOOKAHEADS + (REQUESTS_PER_RANGE + 1) * count


@pytest.mark.parametrize("keys", [[], ["a"]])
async def test_a_bucket_without_cuts_is_one_range(keys: list[str]) -> None:
    """It is searched for a while, and no longer."""
    lister = KeyLister(keys)
    assert await probed_ranges(lister, KeyRange(), [KeyRange()], 8) == [KeyRange()]
    assert lister.requests < FREE_LOOKAHEADS


async def test_known_ranges_are_cut_further() -> None:
    """What the index knows stays, and the whole stays that of the prefix."""
    within, lister = prefix_range("t/"), KeyLister([f"t/{number:04}" for number in range(1_000)])
    known = [KeyRange(within.after, "t/0500"), KeyRange("t/0500", within.upto)]
    ranges = await probed_ranges(lister, within, known, 8)
    assert len(ranges) == 8
    assert "t/0500" in {each.upto for each in ranges}
    assert (ranges[0].after, ranges[-1].upto) == (within.after, within.upto)
