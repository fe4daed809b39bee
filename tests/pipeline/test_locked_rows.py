"""Rows that other sessions keep locked: what a plan asks, and what it does with the answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from subscriber.errors import StoreError, Treatment
from subscriber.model import Delivery
from subscriber.pipeline.bisection import LOOK_AGAIN_SECONDS
from subscriber.pipeline.judgment import TRIES_ALONE
from subscriber.pipeline.steps import (
    FindLockedRows,
    StoreRows,
)
from tests.fakes.samples import delivery, failing, object_event, put
from tests.fakes.store import store_error
from tests.pipeline.plan_table import STATEMENT_SECONDS, TIMEOUT, Table, failing_for, many, sizes

OWN_CHECK = store_error(Treatment.BISECT, "23514", is_own=True)


def locked_table(deliveries: Sequence[Delivery]) -> Table:
    """Another session keeps the row "bad" locked, and it is seen."""
    table = Table(deliveries, failing_for("bad", TIMEOUT))
    table.locked = {"bad"}
    return table


@pytest.mark.parametrize("about_it", [1, 2, 25])
def test_a_locked_row_is_found_by_one_question(about_it: int) -> None:
    """Nothing is halved: all messages about other rows are the next statement, one about the row is tried alone."""
    deliveries = [*many(175), *(put("bad") for _ in range(about_it))]
    table = locked_table(deliveries)
    table.run()
    whole, question, rest, *alone = table.tried
    assert isinstance(whole, StoreRows)
    assert isinstance(question, FindLockedRows)
    assert isinstance(rest, StoreRows)
    assert (len(whole.deliveries), len(question.part.deliveries), len(rest.deliveries)) == (*[175 + about_it] * 2, 175)
    assert max(table.stored_at.values()) == STATEMENT_SECONDS
    assert [step.deliveries for step in alone if isinstance(step, StoreRows)] == [[deliveries[175]]] * len(alone)
    table.compared()
    assert table.run() is None
    assert {table.verdict_of(one) for one in deliveries[175:]} == {("retry_later", "statement_timeout")}


@pytest.mark.parametrize("error", [TIMEOUT, store_error(Treatment.RETRY, "55P03")])
def test_where_the_question_finds_nothing_the_part_is_halved(error: StoreError) -> None:
    """A row that is inserted and not committed cannot be seen."""
    table = Table([*many(7), put("bad")], failing_for("bad", error))
    table.run()
    assert [size for size in sizes(table) if size < 8][:2] == [4, 4]
    assert len(table.stored) == 7


@pytest.mark.parametrize("error", [failing(Treatment.MAYBE_ROW), failing(Treatment.BISECT)])
def test_a_failure_that_takes_no_time_raises_no_question(error: StoreError) -> None:
    """No session is waited for."""
    table = Table([*many(7), put("bad")], failing_for("bad", error))
    table.locked = {"bad"}
    table.run()
    assert not any(isinstance(step, FindLockedRows) for step in table.tried)


def test_a_row_that_was_locked_for_a_moment_delays_none_of_its_messages() -> None:
    """A statement of another batch may have held it: all are stored as soon as there is evidence."""
    deliveries = [*many(7), *(put("bad") for _ in range(3))]
    answers = iter([TIMEOUT])
    table = Table(deliveries, lambda _: next(answers, None))
    table.locked = {"bad"}
    assert table.run() is None
    assert set(table.verdicts.values()) == {("stored", "")}
    assert table.now <= STATEMENT_SECONDS + LOOK_AGAIN_SECONDS


def test_a_suspect_whose_values_are_wrong_leaves_others_about_its_row_alone() -> None:
    """Its row was only locked for a moment."""
    wrong, right = put("bad"), put("bad")
    answers = iter([TIMEOUT, OWN_CHECK])
    table = Table([wrong, right], lambda _: next(answers, None))
    table.locked = {"bad"}
    table.step()
    table.step()
    table.compared()
    assert table.run() is None
    assert [table.verdict_of(one)[0] for one in (wrong, right)] == ["quarantined", "stored"]


def test_a_suspect_that_expires_leaves_others_about_its_row_alone() -> None:
    """Nobody else would find out whether the row is the cause."""
    gone, left = put("bad"), put("bad")
    answers = iter([TIMEOUT])
    table = Table([gone, left], lambda _: next(answers, None))
    table.locked = {"bad"}
    table.step()
    table.step()
    gone.message.lease.expired.add(gone.message.receipt_handle)
    assert table.run() is None
    assert table.verdict_of(left) == ("stored", "")


def test_a_found_row_is_no_proof() -> None:
    """It counts as one of three tries: two of its own come before its message is delayed, and time between them."""
    deliveries = [*many(3), put("bad")]
    table = locked_table(deliveries)
    table.run()
    table.compared()
    table.run()
    assert sizes(table) == [4, 3, *[1] * (TRIES_ALONE - 1)]
    assert table.verdict_of(deliveries[3]) == ("retry_later", "statement_timeout")


def test_of_a_message_with_several_rows_only_the_locked_ones_set_others_apart() -> None:
    """The message about one of its other rows is stored with the rest."""
    several = delivery(object_event("a"), object_event("bad"))
    table = locked_table([several, put("a"), put("b"), put("bad")])
    table.run()
    assert sizes(table)[:3] == [4, 2, 1]
    assert table.stored == {"a", "b"}


def test_a_message_that_expires_before_the_question_is_dropped() -> None:
    """The others are tried once more, without it."""
    gone, left = put("bad"), put("b")
    table = locked_table([gone, left])
    table.step()
    gone.message.lease.expired.add(gone.message.receipt_handle)
    assert table.run() is None
    assert table.stored == {"b"}
