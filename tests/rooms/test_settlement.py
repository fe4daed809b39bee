"""Settlement: until all of a message is committed it has failed, and halves are folded anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.order import fold
from subscriber.model import Refusal, Verdict
from subscriber.pipeline.settlement import LEASE_RESERVE_SECONDS, Settlement, deadline_of, halves
from tests.fakes.things import REFUSAL, batch, delivery, object_event, put


@pytest.mark.parametrize(
    ("own_refusal", "is_quarantined", "is_stored", "verdict"),
    [
        (None, False, False, "failed"),
        (None, False, True, "stored"),
        (None, True, False, "failed"),
        (None, True, True, "quarantined"),
        (REFUSAL, False, False, "failed"),
        (REFUSAL, False, True, "failed"),
        (REFUSAL, True, False, "failed"),
        (REFUSAL, True, True, "quarantined"),
    ],
)
def test_a_message_has_failed_until_all_of_it_is_committed(
    own_refusal: Refusal | None, is_quarantined: bool, is_stored: bool, verdict: Verdict
) -> None:
    """Rows and, where there is a refusal, the body: one without the other is not enough."""
    one = delivery(object_event(), refusal=own_refusal)
    settlement = Settlement([one])
    if is_quarantined:
        settlement.quarantined(one, REFUSAL)
    if is_stored:
        settlement.stored([one])
    (receipt,) = settlement.receipts()
    assert (receipt.message, receipt.verdict) == (one.message, verdict)
    assert settlement.is_quarantined(one) == is_quarantined
    assert settlement.open == (not is_stored)


def test_every_delivery_has_its_receipt_in_order() -> None:
    """Whatever was settled, and those that failed say why."""
    deliveries = [put(str(number)) for number in range(4)]
    settlement = Settlement(deliveries)
    settlement.stored(deliveries[1:3])
    settlement.reason = "deadlock"
    receipts = settlement.receipts()
    assert [one.message for one in receipts] == [one.message for one in deliveries]
    assert [(one.verdict, one.reason) for one in receipts] == [
        ("failed", "deadlock"),
        ("stored", ""),
        ("stored", ""),
        ("failed", "deadlock"),
    ]


@given(keys=st.lists(st.lists(st.sampled_from("abc"), max_size=3), min_size=2, max_size=9))
def test_halves_are_the_whole_cut_between_deliveries(keys: list[list[str]]) -> None:
    """Nothing lost, nothing split, both smaller, each with the fold of its own events."""
    deliveries = [
        delivery(*(object_event(key, sequencer=str(number + 1)) for key in some)) for number, some in enumerate(keys)
    ]
    (first, first_rows), (second, second_rows) = halves(deliveries)
    assert [*first, *second] == deliveries
    assert first
    assert second
    assert first_rows == fold(event for one in first for event in one.events)
    assert second_rows == fold(event for one in second for event in one.events)


def test_a_batch_is_given_up_while_its_messages_are_still_ours() -> None:
    """The deadline is the options', unless a lease ends before it; then there is time left to hide its messages."""
    first, second = put("a"), put("b")
    first.message.lease.expires_at = 1_100.0
    both = batch(first, second)
    assert deadline_of(both, 1_000.0, 30.0) == 1_030.0
    assert deadline_of(both, 1_000.0, 300.0) == 1_100.0 - LEASE_RESERVE_SECONDS
