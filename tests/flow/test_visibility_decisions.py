"""Decisions of the visibility extender: the due action, the length of an extension, and the next wake-up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.leases import LeaseTerms
from subscriber.flow.visibility_extension import action_due, changes_for, extension_seconds, wake_at
from subscriber.model import Lease
from tests.fakes.samples import OTHER_QUEUE, QUEUE

VISIBILITY_SECONDS = 300.0
HOLD_SECONDS = 1000.0
TERMS = LeaseTerms(VISIBILITY_SECONDS, HOLD_SECONDS)
TWELVE_HOURS = 12 * 3600


def lease_of(handles: set[str], queue: str = QUEUE, *, taken_at: float = 0.0) -> Lease:
    """A lease as `VisibilityLeases.fill` leaves it."""
    return Lease(
        queue=queue,
        expires_at=taken_at + VISIBILITY_SECONDS,
        handles=handles,
        taken_at=taken_at,
        extend_at=taken_at + VISIBILITY_SECONDS / 2,
        held_until=taken_at + HOLD_SECONDS,
    )


def test_the_due_action_of_a_lease() -> None:
    """None in its first half, then an extension; a release takes precedence over it, and the expiry over both."""
    lease = lease_of({"a"})
    assert [action_due(lease, now) for now in (0, 149, 150, 299, 300)] == [None, None, "extend", "extend", "expire"]
    lease.expires_at = lease.extend_at = 2 * HOLD_SECONDS
    assert [action_due(lease, now) for now in (999, 1000, 2000)] == [None, "release", "expire"]


@given(
    taken_at=st.floats(0, 1e6),
    age_seconds=st.floats(0, TWELVE_HOURS + 100),
    visibility_seconds=st.integers(1, TWELVE_HOURS),
)
def test_no_extension_reaches_beyond_twelve_hours_after_the_receive(
    taken_at: float, age_seconds: float, visibility_seconds: int
) -> None:
    """SQS would reject it; before that an extension has the whole visibility timeout."""
    lease = lease_of({"a"}, taken_at=taken_at)
    now = taken_at + age_seconds
    seconds = extension_seconds(lease, now, LeaseTerms(visibility_seconds, HOLD_SECONDS))
    assert 0 <= seconds <= visibility_seconds
    assert seconds == 0 or now + seconds <= taken_at + TWELVE_HOURS - 59
    assert seconds == visibility_seconds or now + visibility_seconds > taken_at + TWELVE_HOURS - 61


@given(ages=st.lists(st.floats(0, 149), max_size=5), coming_seconds=st.floats(0, 1000))
def test_the_extender_never_wakes_too_late(ages: list[float], coming_seconds: float) -> None:
    """No known lease is due before it wakes, nor any lease that is filled meanwhile."""
    leases = [lease_of({"a"}, taken_at=1000 - age) for age in ages]
    wakes = wake_at(leases, 1000, TERMS)
    later = lease_of({"b"}, taken_at=1000 + coming_seconds)
    assert wakes > 1000
    assert all(action_due(one, moment) is None for one in (*leases, later) for moment in (wakes - 0.001,))


@given(sizes=st.lists(st.tuples(st.sampled_from([QUEUE, OTHER_QUEUE]), st.integers(1, 10)), max_size=12))
def test_calls_have_one_queue_and_ten_entries_at_most(sizes: list[tuple[str, int]]) -> None:
    """Every handle once, in as few calls as possible."""
    leases = [
        lease_of({f"{number}-{one}" for one in range(count)}, queue) for number, (queue, count) in enumerate(sizes)
    ]
    changes = list(changes_for(leases, 0, TERMS, "extend"))
    requested = [(change.queue, handle) for change in changes for handle in change.handles]
    assert sorted(requested) == sorted((lease.queue, handle) for lease in leases for handle in lease.handles)
    assert all(1 <= len(change.handles) <= 10 and change.seconds == VISIBILITY_SECONDS for change in changes)
    totals = [sum(count for queue, count in sizes if queue == one) for one in (QUEUE, OTHER_QUEUE)]
    assert len(changes) == sum(-(-total // 10) for total in totals)
