"""The plan of a batch, as a table: what is tried next, and what its answers lead to. No loop, no clock, no store."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import StoreError, Treatment
from subscriber.pipeline.judgment import CONFLICT_TRIES, TRIES_ALONE
from subscriber.pipeline.steps import (
    Evidence,
    QuarantineBodies,
    StoreRows,
    Wait,
    limit_after_failure,
    part_of,
)
from tests.fakes.samples import REJECTION, delivery, failing, message, object_event, put
from tests.fakes.store import store_error
from tests.pipeline.plan_table import STATEMENT_SECONDS, TIMEOUT, Table, failing_for, many, sizes

FULL_DISK = store_error(Treatment.STOP, "53100")
OWN_CHECK = store_error(Treatment.BISECT, "23514", is_own=True)


def test_a_healthy_batch_is_one_statement() -> None:
    """And nothing else."""
    table = Table(many(1000), lambda _: None)
    assert table.run() is None
    assert len(table.tried) == 1
    assert set(table.verdicts.values()) == {("stored", "")}


@pytest.mark.parametrize("count", [1, 2, 3, 10, 999, 1000, 10_000])
def test_all_statements_that_look_for_a_row_take_one_statement_more(count: int) -> None:
    """For every size of batch: each level of halving has one part with the row, and each may take its limit."""
    limit = limit_after_failure(part_of([put(str(number)) for number in range(count)]), STATEMENT_SECONDS)
    levels = math.ceil(math.log2(count)) if count > 1 else 0
    assert levels * limit <= STATEMENT_SECONDS


@pytest.mark.parametrize("count", [2, 10, 1000])
@pytest.mark.parametrize("position", [0, 1, -1])
def test_beside_a_locked_row_all_others_are_stored_within_two_statements(count: int, position: int) -> None:
    """The whole batch waits for the lock once; the halves wait for a fraction of that."""
    deliveries = many(count)
    bad = deliveries[position]
    table = Table(deliveries, failing_for(bad.events[0].key, store_error(Treatment.BACK_OFF, "57014")))
    table.run()
    others = [table.stored_at[one.message.message_id] for one in deliveries if one is not bad]
    assert max(others) <= 2 * STATEMENT_SECONDS
    assert table.verdict_of(bad) in {("", ""), ("retry_later", "statement_timeout")}


def test_siblings_come_before_repetitions() -> None:
    """Every part is tried once before any is tried again."""
    deliveries = many(64)
    table = Table(deliveries, failing_for("0000", failing(Treatment.MAYBE_ROW)))
    table.run()
    assert sizes(table)[:13] == [64, 32, 32, 16, 16, 8, 8, 4, 4, 2, 2, 1, 1]


def test_a_conflict_is_repeated_before_it_is_bisected() -> None:
    """The other transaction is over in a moment; a row that stays locked is found."""
    table = Table(many(4), failing_for("0002", failing(Treatment.RETRY)))
    table.run()
    assert sizes(table)[: CONFLICT_TRIES + 2] == [4] * CONFLICT_TRIES + [2, 2]
    assert table.stored == {"0000", "0001", "0003"}


@pytest.mark.parametrize("treatment", [Treatment.RECONNECT, Treatment.STOP])
def test_an_outage_bisects_nothing(treatment: Treatment) -> None:
    """The batch is repeated as it is until the database works; a row that crashes the server is found all the same."""
    table = Table(many(4), failing_for("0002", failing(treatment)))
    for _ in range(100):
        step = table.step()
        if isinstance(step, Wait):
            table.now = step.until
    assert set(sizes(table)) == {4}
    table.evidence = Evidence(probes=1)
    table.run()
    assert table.stored == {"0000", "0001", "0003"}


def test_after_a_timeout_nothing_of_many_is_repeated() -> None:
    """It took a statement's time already."""
    table = Table(many(8), failing_for("0002", store_error(Treatment.BACK_OFF, "57014")))
    table.run()
    wholes = [step for step in table.tried if isinstance(step, StoreRows) and len(step.deliveries) == 8]
    assert len(wholes) == 1


@pytest.mark.parametrize("treatment", [Treatment.BISECT, Treatment.MAYBE_ROW])
def test_alone_in_the_world_a_message_that_fails_waits_for_evidence(treatment: Treatment) -> None:
    """No SQLSTATE convicts by itself; a comparison does, and then its body is kept."""
    (bad,) = deliveries = [put("bad")]
    table = Table(deliveries, lambda _: failing(treatment))
    waiting = table.run()
    assert isinstance(waiting, Wait)
    assert waiting.is_for_evidence
    assert table.verdict_of(bad) == ("", "")
    table.compared()
    assert table.run() is None
    assert table.verdict_of(bad) == ("quarantined", treatment.value)


def test_a_constraint_of_our_own_needs_no_evidence() -> None:
    """Nothing but the row can be at fault."""
    (bad,) = deliveries = [put("bad")]
    table = Table(deliveries, lambda _: OWN_CHECK)
    assert table.run() is None
    assert table.verdict_of(bad) == ("quarantined", "check_violation")


def test_where_every_row_fails_none_is_poison() -> None:
    """A trigger that fails for all, whatever its SQLSTATE: all wait, nothing goes to the quarantine."""
    deliveries = many(100)
    table = Table(deliveries, lambda _: failing(Treatment.BISECT))
    assert isinstance(table.run(), Wait)
    assert table.verdicts == {}
    assert not any(isinstance(step, QuarantineBodies) for step in table.tried)
    table.fails = lambda _: None
    table.evidence = Evidence(writes=1)
    assert table.run() is None
    assert set(table.verdicts.values()) == {("stored", "")}


def test_a_messages_own_rows_are_no_evidence() -> None:
    """The good ones of a poison message are stored after it was found, and convict nobody else."""
    both = [delivery(object_event("bad/1"), object_event("good")), put("bad/2")]
    table = Table(both, lambda step: failing(Treatment.BISECT) if any("bad" in one.key for one in step.rows) else None)
    table.run()
    assert table.verdicts == {}
    table.compared()
    table.run()
    assert table.stored == {"good"}
    assert table.evidence.writes == 0
    assert [table.verdict_of(one)[0] for one in both] == ["quarantined", "quarantined"]


def test_what_does_not_speak_of_a_row_is_tried_again_and_then_delayed() -> None:
    """Somebody may lock the row for a moment: three tries alone, then the queue keeps it for a while."""
    deliveries = many(4)
    table = Table(deliveries, failing_for("0001", store_error(Treatment.BACK_OFF, "57014")))
    assert isinstance(table.run(), Wait)
    table.compared()
    assert table.run() is None
    alone = [step for step in table.tried if isinstance(step, StoreRows) and [*step.rows] == [*deliveries[1].events]]
    assert len(alone) == TRIES_ALONE
    assert table.verdict_of(deliveries[1]) == ("retry_later", "statement_timeout")


def test_a_full_disk_is_no_messages_fault() -> None:
    """However many rows that need no space are taken meanwhile."""
    table = Table(many(2), failing_for("0001", FULL_DISK))
    table.evidence = Evidence(writes=5)
    for _ in range(200):
        step = table.step()
        if isinstance(step, Wait):
            table.now = step.until
            table.compared()
    assert set(table.verdicts.values()) == {("stored", "")}
    assert table.verdict_of(table.deliveries[1]) == ("", "")


def test_a_message_that_waits_is_tried_once_for_each_new_evidence() -> None:
    """However often it fails: what is planned does not grow."""
    table = Table(many(1), failing_for("0000", FULL_DISK))
    for number in range(50):
        table.evidence = Evidence(probes=number)
        table.now += 100
        before = len(table.tried)
        for _ in range(5):
            table.step()
        assert len(table.tried) <= before + 1


def test_a_quarantine_that_fails_holds_up_no_row() -> None:
    """Rows first; the body is tried again, and given to the queue for a while once rows are taken meanwhile."""
    bad, good = delivery(object_event("a"), rejection=REJECTION), put("b")
    table = Table([bad, good], lambda _: None)
    table.quarantine_fails = failing(Treatment.STOP)
    step = table.step()
    assert isinstance(step, StoreRows)
    assert table.verdict_of(good) == ("stored", "")
    table.step()
    table.evidence = Evidence(writes=9)
    assert table.run() is None
    assert table.verdict_of(bad) == ("retry_later", "stop")


def test_a_body_that_the_quarantine_cannot_keep_stays_in_the_queue_alone() -> None:
    """The others of its statement are kept."""
    bodies = [delivery(rejection=REJECTION) for _ in range(3)]
    table = Table(bodies, lambda _: None)
    table.quarantine_fails = failing(Treatment.BISECT)
    table.step()
    table.step()
    table.quarantine_fails = None
    assert table.run() is None
    assert sorted(verdict for verdict, _ in table.verdicts.values()) == ["quarantined"] * 3


def test_an_expired_message_is_dropped_from_what_is_tried() -> None:
    """Others may have it; the rest is folded anew."""
    gone, left = put("a"), put("b")
    table = Table([gone, left], lambda _: None)
    gone.message.lease.expired.add(gone.message.receipt_handle)
    table.run()
    assert table.stored == {"b"}
    (receipt,) = table.plan.remaining_receipts(0.0)
    assert (receipt.message, receipt.verdict) == (gone.message, "expired")


ERRORS = st.sampled_from([None, *(failing(one) for one in Treatment), OWN_CHECK, FULL_DISK, TIMEOUT])


@pytest.mark.usefixtures("untraced")
@settings(max_examples=300, deadline=None)
@given(
    keys=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=1, max_size=9),
    answers=st.lists(ERRORS, max_size=30),
    locked=st.sets(st.sampled_from("abcdefgh")),
)
def test_whatever_fails_for_a_time_each_message_has_one_true_receipt(
    keys: list[list[str]], answers: list[StoreError | None], locked: set[str]
) -> None:
    """Once the database behaves and evidence comes, every plan ends, and *stored* means stored."""
    deliveries = [delivery(*(object_event(key) for key in some), of=message()) for some in keys]
    scripted = iter(answers)
    table = Table(deliveries, lambda _: next(scripted, None))
    table.locked = locked
    for _ in range(500):
        step = table.step()
        if step is None:
            break
        if isinstance(step, Wait):
            table.now = min(step.until, table.now + 100)
            table.compared()
    assert table.plan.next(table.now, table.evidence) is None
    assert len(table.verdicts) == len(deliveries)
    for one in deliveries:
        if table.verdict_of(one)[0] == "stored":
            assert {event.key for event in one.events} <= table.stored
