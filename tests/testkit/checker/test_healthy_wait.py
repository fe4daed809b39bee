"""The wait of healthy messages: from which receive, to which commit, and what is taken out."""

from __future__ import annotations

import pytest

from testkit.checker.commit_log import RowCommit
from testkit.checker.commits import Commits
from testkit.checker.evidence import DeliveryRecord, ExpectedMessage, QueueRecord, version_of
from testkit.checker.healthy_wait import Beside, HealthyWait, Span, bound_seconds, healthy_wait, merged, seconds_outside
from tests.testkit.checker.test_history import put

OTHER = put(key="b.parquet")
NOTHING = Beside()


def waited(
    beside: Beside = NOTHING, *, received: tuple[float, ...] = (100.0,), message: ExpectedMessage | None = None
) -> HealthyWait:
    """The wait of a message with two events, committed at 103 and 105, against a bound of four seconds."""
    sent = [message or ExpectedMessage("m", (put(), OTHER))]
    record = QueueRecord({"m": DeliveryRecord(list(received))}, frozenset(), frozenset())
    commits = Commits([RowCommit(103.0, put()), RowCommit(105.0, OTHER)])
    return healthy_wait(sent, record, commits, beside, bound=4.0)


NONE = HealthyWait(0.0, 0, "")


def test_the_wait_ends_with_the_last_row() -> None:
    """Five seconds from the receive to the second commit: more than the bound."""
    assert waited() == HealthyWait(5.0, 1, "m")


def test_a_wait_of_the_bound_does_not_exceed_it() -> None:
    """Only a longer one does."""
    assert waited(received=(101.0,)) == HealthyWait(4.0, 0, "m")


def test_a_message_that_was_released_has_waited_since_its_first_receive() -> None:
    """Unless a fault took it from the daemon: then since the last receive before the commit."""
    received = (100.0, 104.5, 106.0)
    assert waited(received=received).longest_seconds == 5.0
    assert waited(Beside(takes_messages=True), received=received).longest_seconds == 0.5


def test_a_message_that_came_after_the_commit_of_its_rows_did_not_wait() -> None:
    """A newer event was stored before."""
    assert waited(received=(106.0,)) == HealthyWait(0.0, 0, "m")
    assert waited(Beside(takes_messages=True), received=(106.0,)) == HealthyWait(0.0, 0, "m")


def test_the_time_in_which_no_write_succeeds_is_taken_out() -> None:
    """Of two faults that overlap it is taken out once, and only as far as the message waited."""
    stops = (Span(90.0, 101.0), Span(102.0, 103.0), Span(102.5, 104.0), Span(104.5, 110.0))
    assert waited(Beside(stops=stops)).longest_seconds == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("message", "beside"),
    [
        (ExpectedMessage("m", (put(), OTHER)), Beside(concerned=frozenset({version_of(OTHER)}))),
        (ExpectedMessage("m", (put(),), is_readable=False, body=b"?"), NOTHING),
        (ExpectedMessage("m"), NOTHING),
        (ExpectedMessage("m", (put(), put(key="never committed"))), NOTHING),
        (ExpectedMessage("never received", (put(),)), NOTHING),
    ],
    ids=["a row is refused or locked", "unreadable", "without a row", "not committed", "never received"],
)
def test_messages_that_do_not_count(message: ExpectedMessage, beside: Beside) -> None:
    """One of whose rows the fault is, one that cannot be read, one that says nothing, one that is not stored."""
    assert waited(beside, message=message) == NONE


def test_a_fault_about_other_rows_changes_nothing() -> None:
    """The message is healthy, and waits beside it."""
    concerned = frozenset({version_of(put(key="locked"))})
    assert waited(Beside(concerned=concerned)).longest_seconds == 5.0


def test_the_longest_wait_of_several_messages() -> None:
    """All that exceed the bound are counted, and the one that waited longest is named."""
    sent = [ExpectedMessage(name, (put(key=name),)) for name in ("a", "b", "c")]
    record = QueueRecord({name: DeliveryRecord([100.0]) for name in ("a", "b", "c")}, frozenset(), frozenset())
    moments = {"a": 101.0, "b": 109.0, "c": 105.0}
    commits = Commits(RowCommit(moment, put(key=name)) for name, moment in moments.items())
    assert healthy_wait(sent, record, commits, NOTHING, bound=4.0) == HealthyWait(9.0, 2, "b")


def test_spans_are_merged() -> None:
    """Spans that touch or overlap become one; others stay, in order."""
    spans = [Span(5.0, 6.0), Span(1.0, 4.0), Span(2.0, 3.0), Span(4.0, 4.5)]
    assert merged(spans) == (Span(1.0, 4.5), Span(5.0, 6.0))
    assert merged([]) == ()
    assert seconds_outside(merged(spans), 0.0, 10.0) == pytest.approx(5.5)


def test_the_bound_is_two_statements_and_a_second() -> None:
    """As docs/explanation/architecture.md promises it."""
    assert bound_seconds(1.5) == 4.0
    assert bound_seconds(29.0) == 59.0
