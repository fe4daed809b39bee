"""The order of events is total; the fold does not depend on order, duplication and batching."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.order import fold, order
from subscriber.model import ObjectEvent
from tests.events.samples import EXPECTED, PROPERTY

# Few values for every field, so that events are often equal or differ in one field only.
events = st.builds(
    ObjectEvent,
    bucket=st.sampled_from(["a", "b"]),
    key=st.sampled_from(["k", "\uffff", "\U00010000"]),
    version_id=st.sampled_from(["", "v"]),
    state=st.sampled_from(["present", "delete_marker", "removed"]),
    sequencer=st.sampled_from(["", "6A6E", "6A6F", "9", "A"]),
    event_name=st.sampled_from(["ObjectCreated:Put", "ObjectCreated:Copy"]),
    event_time=st.sampled_from([datetime(2026, 8, 2, tzinfo=UTC) + timedelta(microseconds=n) for n in (0, 1)]),
    size_bytes=st.sampled_from([None, 0, 1]),
    etag=st.sampled_from([None, "e", "f"]),
)
histories = st.lists(events, max_size=12)


@PROPERTY
@given(events, events)
def test_order_is_total(one: ObjectEvent, other: ObjectEvent) -> None:
    """Of two events on one version one is newer, or they are equal."""
    other = msgspec.structs.replace(other, bucket=one.bucket, key=one.key, version_id=one.version_id)
    assert (order(one) < order(other)) + (order(one) > order(other)) + (one == other) == 1


@pytest.mark.parametrize(
    "newer",
    [
        {"sequencer": EXPECTED.sequencer + "1"},
        {"event_time": EXPECTED.event_time + timedelta(microseconds=1)},
        {"state": "removed", "event_name": "ObjectCreated:A"},
        {"etag": "f", "size_bytes": None},
        {"size_bytes": 1025, "event_name": "ObjectCreated:A"},
        {"event_name": "ObjectCreated:Q"},
    ],
)
def test_the_order_of_the_fields(newer: dict[str, object]) -> None:
    """Sequencer, then time, then removal over presence, then state, eTag, size and name."""
    event = msgspec.structs.replace(EXPECTED, **newer)
    assert order(event) > order(EXPECTED)
    assert fold([event, EXPECTED]) == fold([EXPECTED, event]) == (event,)


def test_the_sequencer_precedes_the_time() -> None:
    """A later time does not make an event newer than a higher sequencer."""
    later = EXPECTED.event_time + timedelta(hours=1)
    newer = msgspec.structs.replace(EXPECTED, sequencer=EXPECTED.sequencer + "1")
    assert fold([newer, msgspec.structs.replace(EXPECTED, event_time=later)]) == (newer,)


@PROPERTY
@given(histories)
def test_fold_is_idempotent(history: list[ObjectEvent]) -> None:
    """Folding a fold, or every event twice, changes nothing."""
    folded = fold(history)
    assert fold(folded) == folded
    assert fold(history + history) == folded


@PROPERTY
@given(histories, st.randoms(use_true_random=False))
def test_fold_is_commutative(history: list[ObjectEvent], random: Random) -> None:
    """Any order of the same events folds to the same rows."""
    shuffled = list(history)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(history)


@PROPERTY
@given(histories, st.lists(st.integers(0, 12), max_size=4))
def test_fold_is_associative(history: list[ObjectEvent], cuts: list[int]) -> None:
    """Any partition into batches, each folded by itself, folds to the same rows."""
    edges = [0, *sorted(min(cut, len(history)) for cut in cuts), len(history)]
    parts = [fold(history[start:end]) for start, end in pairwise(edges)]
    assert fold(event for part in parts for event in part) == fold(history)


@PROPERTY
@given(histories)
def test_fold_keeps_the_newest_of_each_version_in_key_order(history: list[ObjectEvent]) -> None:
    """One row per version, none newer in the history, sorted as PostgreSQL's "C" sorts."""
    folded = fold(history)
    identities = [(event.bucket, event.key, event.version_id) for event in folded]
    assert set(identities) == {(event.bucket, event.key, event.version_id) for event in history}
    as_bytes = [tuple(part.encode() for part in identity) for identity in identities]
    assert as_bytes == sorted(set(as_bytes))
    for event in history:
        row = folded[identities.index((event.bucket, event.key, event.version_id))]
        assert order(row) >= order(event)
