"""What a process remembers of each bucket until it is noted: added up, bounded, and given back whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from subscriber import buckets
from subscriber.buckets import BucketTallies, BucketTally
from subscriber.events.order import fold
from subscriber.model import ObjectEvent
from tests.fakes.samples import object_event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(bucket: str, key: str, minute: int) -> ObjectEvent:
    """An event of a bucket at a minute after noon."""
    time = NOON + timedelta(minutes=minute)
    return msgspec.structs.replace(object_event(key), bucket=bucket, event_time=time)


def minutes(tally: BucketTally) -> tuple[int, ...]:
    """When the oldest and the youngest of its events happened."""
    return tuple(int((time - NOON).total_seconds()) // 60 for time in (tally.oldest, tally.youngest))


def test_batches_of_one_bucket_and_of_several_add_up() -> None:
    """Rows are ordered by key, so the oldest and the youngest event may be anywhere."""
    tallies = BucketTallies()
    tallies.add(fold([event("a", "1", 5), event("a", "2", 2), event("a", "3", 4)]), 10.0)
    tallies.add(fold([event("b", "1", 7), event("a", "2", 9), event("a", "1", 3), event("c", "1", 1)]), 12.0)
    tallies.add([], 13.0)
    taken = tallies.take()
    assert {name: (each.rows, *minutes(each), each.first_at, each.last_at) for name, each in taken.items()} == {
        "a": (5, 2, 9, 10.0, 12.0),
        "b": (1, 7, 7, 12.0, 12.0),
        "c": (1, 1, 1, 12.0, 12.0),
    }
    assert tallies.take() == {}


def test_what_is_put_back_is_added_to_what_came_meanwhile() -> None:
    """As after a statement that failed."""
    tallies = BucketTallies()
    tallies.add([event("a", "1", 5)], 10.0)
    taken = tallies.take()
    tallies.add([event("a", "1", 1)], 20.0)
    tallies.put_back(taken)
    (tally,) = tallies.take().values()
    assert (tally.rows, *minutes(tally), tally.first_at, tally.last_at) == (2, 1, 5, 10.0, 20.0)


def test_the_number_of_buckets_is_bounded() -> None:
    """Of one too many nothing is remembered; those that are known go on to count."""
    tallies = BucketTallies()
    names = [f"b-{number:05}" for number in range(buckets.BUCKETS_IN_TALLY + 5)]
    tallies.add([event(name, "1", 1) for name in names], 1.0)
    tallies.add([event(names[0], "1", 1), event(names[-1], "1", 1)], 2.0)
    taken = tallies.take()
    assert len(taken) == buckets.BUCKETS_IN_TALLY
    assert (taken[names[0]].rows, names[-1] in taken) == (2, False)
