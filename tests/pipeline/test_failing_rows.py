"""Failing rows: what is remembered of rows that failed alone, and which messages are set apart for them."""

from __future__ import annotations

from subscriber.pipeline.failing_rows import FAILING_ROWS_AT_MOST, TRIED_AGAIN_SECONDS, Apart, FailingRows, version_of
from tests.fakes.samples import delivery, object_event, put

BAD = version_of(put("bad").events[0])


def suspected() -> FailingRows:
    """One row failed alone."""
    rows = FailingRows()
    rows.suspect(BAD, "statement_timeout")
    return rows


def test_messages_about_other_rows_are_not_set_apart() -> None:
    """Only those with the row, alone or beside other rows."""
    both = delivery(object_event("bad"), object_event("good"))
    apart = Apart(suspected())
    good, bad = put("good"), put("bad")
    assert apart.separate([good, bad, both]) == [good]
    assert apart.deliveries == [bad, both]


def test_they_wait_while_nothing_is_proven() -> None:
    """And are tried once the row was stored."""
    rows = suspected()
    apart = Apart(rows)
    bad = put("bad")
    apart.separate([bad])
    assert (apart.take_freed(), apart.take_due(1000.0)) == ([], ([], []))
    rows.forget([BAD])
    assert apart.take_freed() == [bad]
    assert apart.deliveries == []


def test_one_at_a_time_tries_a_row_that_is_proven_to_fail() -> None:
    """What waits with it is not delayed with it: it may be about a row that is free by now."""
    rows = suspected()
    other = version_of(object_event("other"))
    rows.suspect(other, "statement_timeout")
    rows.prove([BAD, other], 0.0)
    apart = Apart(rows)
    bad, same, free = put("bad"), put("bad"), put("other")
    apart.separate([bad, same, free])
    assert apart.take_due(TRIED_AGAIN_SECONDS) == ([bad], [])
    assert apart.deliveries == [same, free]
    assert apart.take_due(TRIED_AGAIN_SECONDS) == ([free], [(same, "statement_timeout")])


def test_once_it_is_proven_they_are_delayed_and_one_try_is_made_for_all_batches() -> None:
    """The try is due after TRIED_AGAIN_SECONDS; whoever comes first makes it, and the next is due as much later."""
    rows = suspected()
    rows.prove([BAD], 100.0)
    early, due, late = put("bad"), put("bad"), put("bad")
    for one, now, expected in (
        (early, 100.0 + TRIED_AGAIN_SECONDS - 0.1, ([], [(early, "statement_timeout")])),
        (due, 100.0 + TRIED_AGAIN_SECONDS, ([due], [])),
        (late, 100.0 + TRIED_AGAIN_SECONDS, ([], [(late, "statement_timeout")])),
    ):
        apart = Apart(rows)
        apart.separate([one])
        assert apart.take_due(now) == expected


def test_what_nobody_tries_any_more_is_forgotten_unless_it_is_proven() -> None:
    """A suspicion ends with the batch that has it."""
    rows = suspected()
    rows.forget_unproven([BAD])
    assert len(rows) == 0
    rows = suspected()
    rows.prove([BAD], 0.0)
    rows.forget_unproven([BAD])
    assert len(rows) == 1


def test_the_rows_are_bounded() -> None:
    """Where thousands of rows fail, none of them is the cause."""
    rows = FailingRows()
    for number in range(2 * FAILING_ROWS_AT_MOST):
        rows.suspect(("lake", str(number), ""), "statement_timeout")
    assert len(rows) == FAILING_ROWS_AT_MOST


def test_one_batch_at_a_time_looks_for_a_row() -> None:
    """All may look for the same one; the others may go on when it has ended."""
    rows, first, second = FailingRows(), object(), object()
    assert rows.may_search(second)
    rows.begin_search(first)
    rows.begin_search(second)
    assert (rows.may_search(first), rows.may_search(second)) == (True, False)
    rows.end_search(second)
    assert not rows.may_search(second)
    rows.end_search(first)
    assert rows.may_search(second)
