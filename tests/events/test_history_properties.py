"""The final index equals the bucket, for any order, duplication and batching of its events.

The oracle is a simulated bucket without sequencers and folds. The store is a dictionary with the rule of the upsert;
the same arrivals can be given to a real database (see histories.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import pytest
from hypothesis import given

from subscriber.events.order import fold, order
from subscriber.model import ObjectEvent
from testkit.workload.bucket import ObjectRow, VersionRow
from tests.events.histories import Arrival, arrivals, seeded_arrival
from tests.events.samples import PROPERTY, decoded

pytestmark = pytest.mark.usefixtures("untraced")


class Table:
    """`object_versions` and its view, in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], ObjectEvent] = {}

    def upsert(self, rows: Iterable[ObjectEvent]) -> None:
        """Keep the newer row of each version."""
        for row in rows:
            identity = (row.bucket, row.key, row.version_id)
            if identity not in self.rows or order(row) > order(self.rows[identity]):
                self.rows[identity] = row

    def versions(self) -> list[VersionRow]:
        """All rows in key order."""
        return sorted(
            VersionRow(row.bucket, row.key, row.version_id, row.state, row.size_bytes, row.etag)
            for row in self.rows.values()
        )

    def objects(self) -> list[ObjectRow]:
        """Per key the newest row that is not removed, if it is present."""
        left = sorted(
            (row for row in self.rows.values() if row.state != "removed"),
            key=lambda row: (row.bucket, row.key, order(row), row.version_id),
        )
        newest = [list(rows)[-1] for _, rows in groupby(left, key=lambda row: (row.bucket, row.key))]
        return [
            ObjectRow(row.bucket, row.key, row.version_id, row.size_bytes, row.etag)
            for row in newest
            if row.state == "present"
        ]


def stored(batches: Iterable[Iterable[str]]) -> Table:
    """The table after each batch was decoded, folded and written."""
    table = Table()
    for bodies in batches:
        deliveries = [decoded(body) for body in bodies]
        assert not any(delivery.rejection or delivery.derived_sequencers for delivery in deliveries)
        table.upsert(fold(event for delivery in deliveries for event in delivery.events))
    return table


def assert_equals_buckets(table: Table, arrival: Arrival) -> None:
    """Rows and view equal the buckets."""
    assert table.versions() == arrival.expected_versions()
    assert table.objects() == arrival.expected_objects()


@PROPERTY
@given(arrivals())
def test_any_delivery_of_any_history_ends_as_the_bucket(arrival: Arrival) -> None:
    """Order, duplication, envelopes and batching do not matter."""
    assert_equals_buckets(stored(arrival.batches), arrival)


@PROPERTY
@given(arrivals())
def test_whole_rows_are_equal_not_only_their_state(arrival: Arrival) -> None:
    """Sequencer, time and name too end the same, one message at a time or all at once, forwards or backwards."""
    bodies = [body for batch in arrival.batches for body in batch]
    one_by_one = stored([body] for body in bodies).rows
    assert stored([bodies]).rows == one_by_one
    assert stored([body] for body in reversed(bodies)).rows == one_by_one


@pytest.mark.parametrize("seed", range(3))
def test_long_histories(seed: int) -> None:
    """Long histories end as the bucket too."""
    arrival = seeded_arrival(seed)
    assert_equals_buckets(stored(arrival.batches), arrival)


def test_redelivery_of_everything_changes_nothing() -> None:
    """The upsert is idempotent."""
    arrival = seeded_arrival(7, events=300, keys=20)
    assert_equals_buckets(stored([*arrival.batches, *reversed(arrival.batches)]), arrival)


def test_a_history_holds_the_difficult_cases() -> None:
    """All states occur, lifecycle removes objects, and clocks run backwards."""
    arrival = seeded_arrival(0)
    rows = arrival.expected_versions()
    assert {row.state for row in rows} == {"present", "delete_marker", "removed"}
    names = {emission.event_name for bucket in arrival.buckets for emission in bucket.history}
    assert {"LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"} < names
    by_time = [
        later.event_time < earlier.event_time
        for bucket in arrival.buckets
        for earlier, later in zip(bucket.history, bucket.history[1:], strict=False)
    ]
    assert any(by_time)
