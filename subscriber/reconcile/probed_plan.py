"""Ranges for a plan where the index does not know how the keys of a bucket are spread: cut by requests for one key.

A range is cut where keys are known to lie on both sides, the widest one first. How wide a range is tells nothing of how
many keys it has, so the ranges differ more in size than those that come from the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from subscriber.model import KeyRange
from subscriber.ports import SplittableLister
from subscriber.reconcile.ranges import ranges_between
from subscriber.reconcile.splitting import FREE_LOOKAHEADS, Splitting

REQUESTS_PER_RANGE: Final = 10
"""At most, on average: a cut takes one to six, and the ends of the bucket some more."""


async def probed_ranges(
    lister: SplittableLister, within: KeyRange, ranges: Sequence[KeyRange], count: int
) -> list[KeyRange]:
    """About `count` ranges, cut from those given; fewer where no more cuts are found. Each key is in exactly one.

    Args:
        lister: of the bucket and prefix.
        within: what the ranges together are.
        ranges: known before, in order.
        count: how many are wanted.

    Raises:
        ListingError: the bucket cannot be listed.
    """
    requests = FREE_LOOKAHEADS + REQUESTS_PER_RANGE * count
    splitting, cuts = Splitting(ranges, requests), [each.after for each in ranges[1:]]
    while (part := splitting.next_part()) is not None:
        if (first := await lister.first_key(part.rest)) is None:
            splitting.part_ended(part)
        else:
            splitting.page_given(part, first)
    for _ in range(requests):
        if len(cuts) + 1 >= count or (lookahead := splitting.next_lookahead()) is None:
            break
        found = await lister.first_key(lookahead.keys)
        splitting.answered(lookahead, found)
        if found is None:
            continue  # the range now ends at the cut, and the next one lies lower
        cuts.append(lookahead.cut)
        splitting.page_given(lookahead.part, lookahead.part.after)
        if (upper := splitting.next_part()) is not None:
            splitting.page_given(upper, found)
    return ranges_between(cuts, within)
