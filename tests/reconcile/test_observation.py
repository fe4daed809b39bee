"""Observations have one order with events: later than what they show, earlier than what follows."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.order import order
from subscriber.events.sequencer import canonical_sequencer
from subscriber.model import ObjectEvent
from subscriber.reconcile.observation import (
    INVENTORIED,
    LISTED,
    Moment,
    inventory_moment,
    observed_events,
    observed_removal,
)
from tests.reconcile.samples import NOW, listed, moment_of

SECONDS = st.integers(2_000, 0xFFFF_0000)
COLUMN = re.compile(r"([0-9A-F]*[1-9A-F])?")
"""What the column of the table allows (migration 1_001)."""


@given(second=SECONDS, length=st.integers(1, 40) | st.just(70_000), data=st.data())
def test_ranks_are_canonical_and_in_the_order_of_the_stack(second: int, length: int, data: st.DataObject) -> None:
    """Any two neighbors of a stack of any length compare as text as they lie, within the second of the moment."""
    moment = Moment(second)
    rank = data.draw(st.integers(1, length))
    lower, upper = moment.sequencer_of(rank, length), moment.sequencer_of(rank + 1, length)
    assert all(COLUMN.fullmatch(text) and len(text) <= 72 for text in (lower, upper, moment.sequencer))
    assert moment.sequencer < lower < upper
    assert upper < canonical_sequencer(None, moment.second + 1)[0]


def test_a_stack_longer_than_the_usual_rank_has_more_digits() -> None:
    """The rank takes as many digits as the length needs, and never leaves the column."""
    moment, most = Moment(NOW), 16**64 - 1
    first, last = moment.sequencer_of(1, most), moment.sequencer_of(most, most)
    assert (first < last, len(first), len(last)) == (True, 72, 72)


@given(second=SECONDS, seconds_after=st.integers(1, 1000), digits=st.integers(1, 0xFFFF_FFFF))
def test_a_later_event_of_s3_wins(second: int, seconds_after: int, digits: int) -> None:
    """A real sequencer of any later second is greater, and one of any earlier second is smaller."""
    moment = Moment(second)
    later, _ = canonical_sequencer(f"00{moment.second + seconds_after:08X}{digits:08X}", moment.second + seconds_after)
    assert moment.sequencer_of(99, 99) < later
    earlier, _ = canonical_sequencer(f"00{moment.second - 1:08X}{digits:08X}", moment.second - 1)
    assert earlier < moment.sequencer


def test_a_stack_as_events() -> None:
    """The oldest version is the lowest; a delete marker has neither size nor ETag; the time is LastModified."""
    stack = [listed("m", marker=True, at=NOW - 500), listed("v2", at=NOW - 900, size=7), listed("", at=NOW - 700)]
    second = f"{NOW - 15:08X}"
    marker = ObjectEvent(
        "lake", "k", "m", "delete_marker", f"{second}00000003", LISTED, moment_of(NOW - 500), None, None
    )
    assert observed_events("lake", stack, Moment(NOW)) == (
        marker,
        msgspec.structs.replace(
            marker,
            version_id="v2",
            state="present",
            sequencer=f"{second}00000002",
            event_time=moment_of(NOW - 900),
            size_bytes=7,
            etag=f"{7:032x}",
        ),
        msgspec.structs.replace(
            marker,
            version_id="",
            state="present",
            sequencer=f"{second}00000001",
            event_time=moment_of(NOW - 700),
            size_bytes=1,
            etag=f"{1:032x}",
        ),
    )


@pytest.mark.parametrize("length", [1, 2, 8, 9, 20])
def test_each_version_has_the_sequencer_of_its_rank(length: int) -> None:
    """In a stack of any length, and of two moments in turn: sequencers of short stacks are made once."""
    stack = [listed(f"v{number}") for number in range(length)]
    for moment in (Moment(NOW), Moment(NOW + 1), Moment(NOW)):
        ranks = range(length, 0, -1)
        expected = [moment.sequencer_of(rank, length) for rank in ranks]
        assert [event.sequencer for event in observed_events("lake", stack, moment)] == expected


def test_an_inventory_is_worth_a_day_less() -> None:
    """Its facts are ordered a day before its creation, under a name of their own."""
    (event,) = observed_events("lake", [listed("v")], inventory_moment(NOW))
    assert (event.sequencer, event.event_name) == (f"{NOW - 86_400:08X}00000001", INVENTORIED)


def test_a_removal_is_final_except_of_the_null_version() -> None:
    """A tombstone of the null version loses to anything later; that of another version loses to nothing.

    The counterexample to a tombstone at T − margin: listing A begins at 100. Listing B begins at 300 and sees the
    version at 350. The version is removed at 400, and the event is lost. A comes to the key at 500 and finds it absent.
    At 85, A's tombstone would lose to B's fact of 285, and the removed version would be back.
    """
    tombstone = observed_removal("lake", "k", "v", Moment(NOW + 100))
    (seen,) = observed_events("lake", [listed("v")], Moment(NOW + 300))
    assert order(seen) < order(tombstone)
    (null,) = observed_events("lake", [listed("")], Moment(NOW + 300))
    assert order(observed_removal("lake", "k", "", Moment(NOW + 100))) < order(null)
    assert order(null) < order(observed_removal("lake", "k", "", Moment(NOW + 301)))


@pytest.mark.parametrize("second", [0, 15, -1, 2**32 + 15])
def test_a_time_that_is_none(second: int) -> None:
    """A moment that no sequencer can express is an error, not a wrong order."""
    with pytest.raises(ValueError, match="is no Unix time"):
        Moment(second)
