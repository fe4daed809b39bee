"""The benchmark of the notes about buckets: it notes every row of what it measures."""

from __future__ import annotations

import pytest

from benchmarks.loadtest.bucket_tally_speed import BUCKETS, ROWS, costs, events
from subscriber.buckets import BucketTallies
from subscriber.events.order import fold


@pytest.mark.parametrize("buckets", BUCKETS)
def test_every_row_is_noted(buckets: int) -> None:
    """Of every bucket the same number."""
    tallies = BucketTallies()
    tallies.add(fold(events(buckets)), 1.0)
    assert {tally.rows for tally in tallies.take().values()} == {ROWS // buckets}


def test_costs_are_positive() -> None:
    """The measurement itself runs."""
    assert min(costs(5, 20)) > 0
