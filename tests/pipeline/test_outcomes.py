"""BatchOutcome: until all of a message is committed it is not stored, and halves are folded anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.order import fold
from subscriber.model import Rejection, Verdict
from subscriber.pipeline.outcomes import BatchOutcome, Part, halves, held_until, still_ours
from tests.fakes.samples import REFUSAL, batch, delivery, object_event, put


@pytest.mark.parametrize(
    ("own_refusal", "is_quarantined", "is_stored", "verdict"),
    [
        (None, False, False, "released"),
        (None, False, True, "stored"),
        (None, True, False, "released"),
        (None, True, True, "quarantined"),
        (REFUSAL, False, False, "released"),
        (REFUSAL, False, True, "released"),
        (REFUSAL, True, False, "released"),
        (REFUSAL, True, True, "quarantined"),
    ],
)
def test_a_message_goes_back_until_all_of_it_is_committed(
    own_refusal: Rejection | None, is_quarantined: bool, is_stored: bool, verdict: Verdict
) -> None:
    """Rows and, where there is a rejection, the body: one without the other is not enough."""
    one = delivery(object_event(), rejection=own_refusal)
    settlement = BatchOutcome([one])
    if is_quarantined:
        settlement.quarantined(one, REFUSAL)
    if is_stored:
        settlement.stored([one])
    (receipt,) = settlement.receipts(0.0)
    assert (receipt.message, receipt.verdict) == (one.message, verdict)
    assert settlement.is_quarantined(one) == is_quarantined
    assert settlement.open == (verdict == "released")


def test_every_delivery_has_its_receipt_in_order() -> None:
    """Whatever was settled; those that failed say why, and of those that are lost nothing is asked."""
    deliveries = [put(str(number)) for number in range(6)]
    settlement = BatchOutcome(deliveries)
    settlement.stored(deliveries[1:4])
    settlement.failed(deliveries[0], "too_large")
    for one in (deliveries[3], deliveries[4]):
        one.message.lease.expired.add(one.message.receipt_handle)
    receipts = settlement.receipts(0.0)
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
def test_halves_are_the_whole_cut_between_deliveries(keys: list[list[str]]) -> None:
    """Nothing lost, nothing split, both smaller, each with the fold of its own events."""
    deliveries = [
        delivery(*(object_event(key, sequencer=str(number + 1)) for key in some)) for number, some in enumerate(keys)
    ]
    first, second = halves(deliveries)
    assert [*first.deliveries, *second.deliveries] == deliveries
    for part in (first, second):
        assert part.deliveries
        assert part.rows == fold(event for one in part.deliveries for event in one.events)


def test_what_is_lost_is_dropped_and_the_rest_folded_anew() -> None:
    """By the queue's word or by the clock; a part of which nothing is lost stays the very same."""
    older, newer, other = (delivery(object_event("a", sequencer=number)) for number in "123")
    whole = Part((older, newer, other), batch(older, newer, other).rows)
    assert still_ours(whole, 0.0) is whole
    newer.message.lease.expired.add(newer.message.receipt_handle)
    other.message.lease.expires_at = 10.0
    assert still_ours(whole, 9.9).deliveries == [older, other]
    left = still_ours(whole, 10.0)
    assert (left.deliveries, list(left.rows)) == ([older], list(older.events))


def test_blame_takes_two_refusals_alone_and_a_success_between_them() -> None:
    """One rejection proves nothing, nor do many while nothing else is taken."""
    settlement = BatchOutcome([put("a")])
    (one,) = settlement._deliveries
    assert [settlement.is_poison(one, successes) for successes in (7, 7, 7, 8)] == [False, False, False, True]


def test_a_batch_is_tried_until_the_last_of_it_is_handed_back() -> None:
    """The latest of its leases counts."""
    first, second = put("a"), put("b")
    first.message.lease.held_until, second.message.lease.held_until = 1_100.0, 1_200.0
    assert held_until([first, second]) == 1_200.0


def test_what_failed_and_is_in_other_hands_is_not_hidden_from_them() -> None:
    """Unless it is only being handed back: that may be refused, and then it is still ours to hide."""
    failed, handed = put("a"), put("b")
    settlement = BatchOutcome([failed, handed])
    for one in (failed, handed):
        settlement.failed(one, "too_large")
        one.message.lease.expired.add(one.message.receipt_handle)
    handed.message.lease.releasing.add(handed.message.receipt_handle)
    assert [one.verdict for one in settlement.receipts(0.0)] == ["expired", "retry_later"]
