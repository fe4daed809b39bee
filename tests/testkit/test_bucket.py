"""The simulated bucket behaves as S3's documentation says."""

from __future__ import annotations

from random import Random

from testkit.workload.bucket import EMPTY_ETAG, SimulatedBucket, Versioning
from testkit.workload.random_walk import seeded_buckets


def bucket_with(versioning: Versioning) -> SimulatedBucket:
    """An empty bucket with this versioning state."""
    return SimulatedBucket("lake", Random(0), versioning=versioning)


def names(bucket: SimulatedBucket) -> list[str]:
    """The names of all events so far."""
    return [emission.event_name for emission in bucket.history]


def states(bucket: SimulatedBucket) -> list[str]:
    """The states of all expected rows."""
    return [row.state for row in bucket.expected_versions()]


def test_unversioned_delete_leaves_a_tombstone() -> None:
    """Without versioning a key has one version, and a delete removes it."""
    bucket = bucket_with("unversioned")
    bucket.put("k", 1)
    bucket.put("k", 2)
    bucket.delete("k")
    assert names(bucket) == ["ObjectCreated:Put", "ObjectCreated:Put", "ObjectRemoved:Delete"]
    assert (states(bucket), bucket.expected_objects()) == (["removed"], [])


def test_versioned_delete_adds_a_marker_and_undelete_removes_it() -> None:
    """A delete adds a delete marker; removing the marker restores the object."""
    bucket = bucket_with("enabled")
    bucket.put("k", 1)
    bucket.delete("k")
    assert bucket.expected_objects() == []
    bucket.delete_version("k", bucket.version_ids("k")[-1])
    assert names(bucket)[1:] == ["ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete"]
    assert [row.size_bytes for row in bucket.expected_objects()] == [1]
    assert sorted(states(bucket)) == ["present", "removed"]


def test_suspended_writes_replace_the_null_version_only() -> None:
    """With suspended versioning there is one null version, object or marker, above the earlier versions."""
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


def test_an_operation_without_an_effect_emits_no_event() -> None:
    """There is no event for a delete or an expiration of a key that does not exist."""
    bucket = bucket_with("unversioned")
    bucket.delete("k")
    bucket.expire("k")
    bucket.delete_version("k", "v")
    assert bucket.history == []


def test_sequencers_grow_and_have_the_form_of_s3() -> None:
    """They have 18 digits, of which the second to the fifth pair are the Unix second, and always grow."""
    bucket = bucket_with("enabled")
    for _ in range(500):
        bucket.put("k", 1)
    sequencers = [emission.sequencer for emission in bucket.history]
    assert sequencers == sorted(set(sequencers))
    for emission in bucket.history:
        assert len(emission.sequencer) == 18
        assert abs(int(emission.sequencer[:10], 16) - emission.event_time.timestamp()) < 3


def test_a_delete_marker_has_the_etag_of_an_empty_body() -> None:
    """Delete markers have S3's ETag of an empty body and no size."""
    bucket = bucket_with("enabled")
    bucket.delete("k")
    assert (bucket.history[0].etag, bucket.history[0].size_bytes) == (EMPTY_ETAG, None)


def test_the_same_seed_gives_the_same_history() -> None:
    """A history can be reproduced from its seed."""
    one, other = (seeded_buckets(5, events=500, keys=50) for _ in range(2))
    assert [bucket.history for bucket in one] == [bucket.history for bucket in other]
    assert sum(len(bucket.history) for bucket in one) == 500
