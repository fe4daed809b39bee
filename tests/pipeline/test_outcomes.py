"""BatchOutcome: a message is stored only when all of it is committed; halves are folded again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.order import fold
from subscriber.model import Rejection, Verdict
from subscriber.pipeline.outcomes import BatchOutcome, Part, halves, held_until, without_expired
from tests.fakes.samples import REJECTION, batch, delivery, object_event, put


@pytest.mark.parametrize(
    ("own_rejection", "is_quarantined", "is_stored", "verdict"),
    [
        (None, False, False, "released"),
        (None, False, True, "stored"),
        (None, True, False, "released"),
        (None, True, True, "quarantined"),
        (REJECTION, False, False, "released"),
        (REJECTION, False, True, "released"),
        (REJECTION, True, False, "released"),
        (REJECTION, True, True, "quarantined"),
    ],
)
def test_a_message_is_released_until_all_of_it_is_committed(
    own_rejection: Rejection | None, is_quarantined: bool, is_stored: bool, verdict: Verdict
) -> None:
    """Its rows and, after a rejection, its body: one without the other is not enough."""
    one = delivery(object_event(), rejection=own_rejection)
    outcome = BatchOutcome([one])
    if is_quarantined:
        outcome.record_quarantined(one, REJECTION)
    if is_stored:
        outcome.record_stored([one])
    (receipt,) = outcome.receipts(0.0)
    assert (receipt.message, receipt.verdict) == (one.message, verdict)
    assert outcome.is_quarantined(one) == is_quarantined
    assert outcome.undecided_count == (verdict == "released")


def test_every_delivery_has_a_receipt_in_order() -> None:
    """Failed ones have a reason; expired ones ask for no call."""
    deliveries = [put(str(number)) for number in range(6)]
    outcome = BatchOutcome(deliveries)
    outcome.record_stored(deliveries[1:4])
    outcome.record_failed(deliveries[0], "too_large")
    for one in (deliveries[3], deliveries[4]):
        one.message.lease.expired.add(one.message.receipt_handle)
    receipts = outcome.receipts(0.0)
    assert [one.message for one in receipts] == [one.message for one in deliveries]
    assert [(one.verdict, one.reason) for one in receipts] == [
        ("retry_later", "too_large"),
        ("stored", ""),
        ("stored", ""),
        ("stored", ""),
        ("expired", ""),
        ("released", ""),
    ]


@given(keys=st.lists(st.lists(st.sampled_from("abc"), max_size=3), min_size=2, max_size=9))
def test_halves_split_a_batch_between_deliveries(keys: list[list[str]]) -> None:
    """No delivery is lost or split; each half has the fold of its own events."""
    deliveries = [
        delivery(*(object_event(key, sequencer=str(number + 1)) for key in some)) for number, some in enumerate(keys)
    ]
    first, second = halves(deliveries)
    assert [*first.deliveries, *second.deliveries] == deliveries
    for part in (first, second):
        assert part.deliveries
        assert part.rows == fold(event for one in part.deliveries for event in one.events)


def test_expired_messages_are_dropped_and_the_rest_folded_anew() -> None:
    """Expired by a rejected extension or by the clock; a part without an expired message is unchanged."""
    older, newer, other = (delivery(object_event("a", sequencer=number)) for number in "123")
    whole = Part((older, newer, other), batch(older, newer, other).rows)
    assert without_expired(whole, 0.0) is whole
    newer.message.lease.expired.add(newer.message.receipt_handle)
    other.message.lease.expires_at = 10.0
    assert without_expired(whole, 9.9).deliveries == [older, other]
    left = without_expired(whole, 10.0)
    assert (left.deliveries, list(left.rows)) == ([older], list(older.events))


def test_poison_takes_two_failures_alone_and_a_success_between_them() -> None:
    """One failure proves nothing, nor do many while no other write succeeds."""
    outcome = BatchOutcome([put("a")])
    (one,) = outcome._deliveries
    assert [outcome.record_failed_alone(one, successes) for successes in (7, 7, 7, 8)] == [False, False, False, True]


def test_a_batch_is_retried_until_its_last_lease_is_released() -> None:
    """The latest of its leases counts."""
    first, second = put("a"), put("b")
    first.message.lease.held_until, second.message.lease.held_until = 1_100.0, 1_200.0
    assert held_until([first, second]) == 1_200.0


def test_a_failed_message_that_expired_gets_no_retry_delay() -> None:
    """Unless its release is under way: the release may fail, and then the message is still ours."""
    failed, releasing = put("a"), put("b")
    outcome = BatchOutcome([failed, releasing])
    for one in (failed, releasing):
        outcome.record_failed(one, "too_large")
        one.message.lease.expired.add(one.message.receipt_handle)
    releasing.message.lease.releasing.add(releasing.message.receipt_handle)
    assert [one.verdict for one in outcome.receipts(0.0)] == ["expired", "retry_later"]
