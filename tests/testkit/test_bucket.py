"""The judge itself: the simulated bucket behaves as S3 says that buckets do."""

from __future__ import annotations

from random import Random

from testkit.workload.bucket import EMPTY_ETAG, SimulatedBucket, Versioning
from testkit.workload.random_walk import seeded_buckets


def bucket_with(versioning: Versioning) -> SimulatedBucket:
    """An empty bucket."""
    return SimulatedBucket("lake", Random(0), versioning=versioning)


def told(bucket: SimulatedBucket) -> list[str]:
    """The names of all events so far."""
    return [emission.event_name for emission in bucket.history]


def states(bucket: SimulatedBucket) -> list[str]:
    """The states of all rows that must be."""
    return [row.state for row in bucket.expected_versions()]


def test_unversioned_delete_leaves_a_tombstone() -> None:
    """Without versioning there is one version, and a delete removes it."""
    bucket = bucket_with("unversioned")
    bucket.put("k", 1)
    bucket.put("k", 2)
    bucket.delete("k")
    assert told(bucket) == ["ObjectCreated:Put", "ObjectCreated:Put", "ObjectRemoved:Delete"]
    assert (states(bucket), bucket.expected_objects()) == (["removed"], [])


def test_versioned_delete_hides_and_undelete_shows() -> None:
    """A delete adds a marker; removing the marker brings the object back."""
    bucket = bucket_with("enabled")
    bucket.put("k", 1)
    bucket.delete("k")
    assert bucket.expected_objects() == []
    bucket.delete_version("k", bucket.version_ids("k")[-1])
    assert told(bucket)[1:] == ["ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete"]
    assert [row.size_bytes for row in bucket.expected_objects()] == [1]
    assert sorted(states(bucket)) == ["present", "removed"]


def test_suspended_writes_replace_the_null_version_only() -> None:
    """Under suspension there is one null version, object or marker, above those made before."""
    bucket = bucket_with("enabled")
    bucket.put("k", 1)
    bucket.suspend_versioning()
    bucket.put("k", 2)
    bucket.put("k", 3)
    assert [row.size_bytes for row in bucket.expected_objects()] == [3]
    bucket.delete("k")
    assert bucket.version_ids("k")[-1] == ""
    assert (len(bucket.version_ids("k")), bucket.expected_objects()) == (2, [])
    bucket.delete_version("k", "")
    assert [row.size_bytes for row in bucket.expected_objects()] == [1]


def test_what_changes_nothing_tells_nothing() -> None:
    """No event for a delete of nothing, nor for an expiry of what is hidden."""
    bucket = bucket_with("unversioned")
    bucket.delete("k")
    bucket.expire("k")
    bucket.delete_version("k", "v")
    assert bucket.history == []


def test_sequencers_grow_and_look_like_those_of_s3() -> None:
    """Eighteen digits, of which the second to the fifth pair are the Unix second, ever growing."""
    bucket = bucket_with("enabled")
    for _ in range(500):
        bucket.put("k", 1)
    sequencers = [emission.sequencer for emission in bucket.history]
    assert sequencers == sorted(set(sequencers))
    for emission in bucket.history:
        assert len(emission.sequencer) == 18
        assert abs(int(emission.sequencer[:10], 16) - emission.event_time.timestamp()) < 3


def test_a_marker_carries_the_etag_of_nothing() -> None:
    """Delete markers have S3's eTag of an empty body and no size."""
    bucket = bucket_with("enabled")
    bucket.delete("k")
    assert (bucket.history[0].etag, bucket.history[0].size_bytes) == (EMPTY_ETAG, None)


def test_the_same_seed_gives_the_same_life() -> None:
    """A history can be told again from its seed."""
    one, other = (seeded_buckets(5, events=500, keys=50) for _ in range(2))
    assert [bucket.history for bucket in one] == [bucket.history for bucket in other]
    assert sum(len(bucket.history) for bucket in one) == 500
