"""The history checker finds every kind of error, and no error in a correct history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, QuarantineCommit, RowCommit
from testkit.checker.evidence import DeliveryRecord, ExpectedMessage, QueueRecord, Tables, version_of
from testkit.checker.history import HistoryChecker, HistoryReport

COMMITTED, DELETED, LATER = 100.0, 100.5, 101.0


def put(sequence: int = 1, **changed: Any) -> ObjectEvent:
    """An event about one object; a higher sequence is newer."""
    event = ObjectEvent(
        bucket="lake",
        key="a.parquet",
        version_id="",
        state="present",
        sequencer=f"6A{sequence:06X}1",
        event_name="ObjectCreated:Put",
        event_time=datetime(2026, 8, 2, tzinfo=UTC),
        size_bytes=sequence,
        etag="e",
    )
    return msgspec.structs.replace(event, **changed)


ROW = frozenset({version_of(put())})
"""The row that the database was made to reject."""


def checked(
    sent: list[ExpectedMessage],
    deliveries: dict[str, DeliveryRecord],
    changes: Sequence[Change],
    rows: list[ObjectEvent],
    *,
    queued: tuple[str, ...] = (),
    dead: tuple[str, ...] = (),
    quarantined: dict[str, bytes] | None = None,
) -> HistoryReport:
    """The checker's report on this evidence."""
    record = QueueRecord(deliveries, frozenset(queued), frozenset(dead))
    return HistoryChecker(
        sent, record, changes, Tables({version_of(row): row for row in rows}, quarantined or {})
    ).check()


def kinds(report: HistoryReport) -> list[str]:
    """The kinds of all findings."""
    return [finding.kind for finding in report.findings]


def deleted(at: float = DELETED) -> DeliveryRecord:
    """A message that was received once and deleted."""
    return DeliveryRecord([99.0], at)


def test_a_correct_history_has_no_findings() -> None:
    """Applied, stale, quarantined, without a row, and still in the queue: each is counted in its state."""
    sent = [
        ExpectedMessage("applied", (put(2),)),
        ExpectedMessage("stale", (put(1),)),
        ExpectedMessage("undecodable", is_readable=False, body=b"?"),
        ExpectedMessage("without row"),
        ExpectedMessage("waiting", (put(3),)),
    ]
    deliveries = {name: deleted() for name in ("applied", "stale", "undecodable", "without row")}
    changes: list[Change] = [RowCommit(COMMITTED, put(2)), QuarantineCommit(COMMITTED, "undecodable")]
    report = checked(sent, deliveries, changes, [put(2)], queued=("waiting",), quarantined={"undecodable": b"?"})
    assert report == HistoryReport(messages=5, events=3, stored=2, quarantined=1, without_row=1, queued=1, findings=())


def test_a_message_deleted_without_a_trace_is_lost() -> None:
    """Neither its event nor a newer one is in the table."""
    assert kinds(checked([ExpectedMessage("m", (put(),))], {"m": deleted()}, [], [])) == ["lost"]


def test_an_older_row_does_not_stand_for_a_newer_event() -> None:
    """A message with a newer event than the row's is lost, and the row is wrong."""
    sent = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    deliveries = {"old": deleted(), "new": deleted()}
    assert kinds(checked(sent, deliveries, [RowCommit(COMMITTED, put(1))], [put(1)])) == ["lost", "wrong_row"]


def test_one_lost_event_of_two_is_a_finding() -> None:
    """A message is complete only when all of its events are stored."""
    other = put(key="b.parquet")
    report = checked([ExpectedMessage("m", (put(), other))], {"m": deleted()}, [RowCommit(COMMITTED, put())], [put()])
    assert [(finding.kind, finding.expected) for finding in report.findings] == [("lost", other)]


def test_deleted_before_commit() -> None:
    """The row was committed, but only after the message had been deleted."""
    report = checked([ExpectedMessage("m", (put(),))], {"m": deleted(DELETED)}, [RowCommit(LATER, put())], [put()])
    assert [(finding.kind, finding.deleted_at, finding.committed_at) for finding in report.findings] == [
        ("deleted_before_commit", DELETED, LATER)
    ]


def test_an_older_commit_does_not_justify_an_early_delete() -> None:
    """Only a commit of the event itself, or of a newer one, makes it durable."""
    sent = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    changes = [RowCommit(COMMITTED, put(1)), RowCommit(LATER, put(2))]
    assert kinds(checked(sent, {"old": deleted(), "new": deleted()}, changes, [put(2)])) == ["deleted_before_commit"]


def test_a_row_without_a_recorded_commit_is_lost() -> None:
    """The table alone is not enough evidence: the commit log must have the commit."""
    assert kinds(checked([ExpectedMessage("m", (put(),))], {"m": deleted()}, [], [put()])) == ["lost"]


def test_a_quarantine_commit_after_the_delete_is_too_late() -> None:
    """The body, too, must be durable before the delete."""
    sent = [ExpectedMessage("m", is_readable=False, body=b"?")]
    changes = [QuarantineCommit(LATER, "m")]
    assert kinds(checked(sent, {"m": deleted()}, changes, [], quarantined={"m": b"?"})) == ["deleted_before_commit"]


def test_an_undecodable_message_that_is_not_in_the_quarantine_is_lost() -> None:
    """It was deleted, and its body is stored nowhere."""
    assert kinds(checked([ExpectedMessage("m", is_readable=False, body=b"?")], {"m": deleted()}, [], [])) == ["lost"]


def test_another_body_in_the_quarantine_is_wrong() -> None:
    """The quarantine must hold the body byte for byte."""
    sent, changes = [ExpectedMessage("m", is_readable=False, body=b"?")], [QuarantineCommit(COMMITTED, "m")]
    assert kinds(checked(sent, {"m": deleted()}, changes, [], quarantined={"m": b"!"})) == ["wrong_body"]


def test_a_message_that_is_neither_deleted_nor_queued_has_vanished() -> None:
    """It was never deleted, but the queue does not have it."""
    assert kinds(checked([ExpectedMessage("m", (put(),))], {"m": DeliveryRecord([99.0])}, [], [])) == ["vanished"]


def test_a_decodable_message_in_the_wrong_location() -> None:
    """A decodable message belongs neither in the dead-letter queue nor in the quarantine."""
    commit, row = RowCommit(COMMITTED, put()), put()
    dead = checked([ExpectedMessage("m", (put(),))], {"m": DeliveryRecord([99.0])}, [commit], [row], dead=("m",))
    kept = checked([ExpectedMessage("m", (put(),))], {"m": deleted()}, [commit], [row], quarantined={"m": b"{}"})
    assert (kinds(dead), kinds(kept)) == (["dead_letter"], ["quarantined_wrongly"])


def test_a_message_with_a_row_that_the_database_rejects_may_be_in_the_quarantine() -> None:
    """Its body is there unchanged and before the delete, and the row keeps the event before it."""
    sent = [
        ExpectedMessage("stored", (put(1),)),
        ExpectedMessage("rejected", (put(2),), may_be_rejected=ROW, body=b"{}"),
    ]
    changes: list[Change] = [RowCommit(COMMITTED, put(1)), QuarantineCommit(COMMITTED, "rejected")]
    deliveries = {name: deleted() for name in ("stored", "rejected")}
    report = checked(sent, deliveries, changes, [put(1)], quarantined={"rejected": b"{}"})
    assert report == HistoryReport(messages=2, events=2, stored=1, quarantined=1, without_row=0, queued=0, findings=())


def test_a_message_that_may_be_rejected_can_be_lost() -> None:
    """It is neither stored nor quarantined, quarantined after the delete, or quarantined with another body."""
    sent = [ExpectedMessage("m", (put(),), may_be_rejected=ROW, body=b"{}")]
    late: list[Change] = [QuarantineCommit(LATER, "m")]
    good: list[Change] = [QuarantineCommit(COMMITTED, "m")]
    deliveries = {"m": deleted()}
    assert kinds(checked(sent, deliveries, [], [])) == ["lost"]
    assert kinds(checked(sent, deliveries, late, [], quarantined={"m": b"{}"})) == ["deleted_before_commit"]
    assert kinds(checked(sent, deliveries, good, [], quarantined={"m": b"?"})) == ["wrong_body"]


def test_a_message_whose_rows_are_stored_may_be_quarantined_later() -> None:
    """One delivery was stored and the message deleted; another delivery of it waited for the quarantine."""
    sent = [ExpectedMessage("m", (put(),), may_be_rejected=ROW, body=b"{}")]
    changes: list[Change] = [RowCommit(COMMITTED, put()), QuarantineCommit(LATER, "m")]
    assert kinds(checked(sent, {"m": deleted()}, changes, [put()], quarantined={"m": b"{}"})) == []
    too_late: list[Change] = [QuarantineCommit(LATER, "m"), RowCommit(LATER, put())]
    found = checked(sent, {"m": deleted()}, too_late, [put()], quarantined={"m": b"{}"})
    assert kinds(found) == ["deleted_before_commit"]


def test_a_rejected_row_does_not_exempt_the_other_rows_of_its_message() -> None:
    """The body is in the quarantine, and the message's other event must still be in the index."""
    other = put(key="b.parquet")
    sent = [ExpectedMessage("m", (put(), other), may_be_rejected=ROW, body=b"{}")]
    kept: list[Change] = [QuarantineCommit(COMMITTED, "m")]
    deliveries, bodies = {"m": deleted()}, {"m": b"{}"}
    lost = checked(sent, deliveries, kept, [], quarantined=bodies)
    late = checked(sent, deliveries, [*kept, RowCommit(LATER, other)], [other], quarantined=bodies)
    both = checked(sent, deliveries, [*kept, RowCommit(COMMITTED, other)], [other], quarantined=bodies)
    assert [(finding.kind, finding.expected) for finding in lost.findings] == [("lost", other)]
    assert (kinds(late), kinds(both)) == (["deleted_before_commit"], [])


def test_a_partly_decodable_message_is_in_the_index_and_in_the_quarantine() -> None:
    """One without the other is a loss, and the dead-letter queue must not have it."""
    sent = [ExpectedMessage("m", (put(),), is_readable=False, body=b"{}")]
    row, kept = RowCommit(COMMITTED, put()), QuarantineCommit(COMMITTED, "m")
    deliveries, bodies = {"m": deleted()}, {"m": b"{}"}
    assert kinds(checked(sent, deliveries, [row, kept], [put()], quarantined=bodies)) == []
    assert kinds(checked(sent, deliveries, [kept], [], quarantined=bodies)) == ["lost"]
    assert kinds(checked(sent, deliveries, [row], [put()])) == ["lost"]
    assert kinds(checked(sent, {"m": DeliveryRecord([99.0])}, [], [], dead=("m",))) == ["dead_letter"]


def test_a_missing_row_of_a_message_with_another_rejected_row_is_found() -> None:
    """The row kept the older event, although the database did not reject the newer one."""
    rejected = put(key="b.parquet")
    sent = [
        ExpectedMessage("old", (put(1),)),
        ExpectedMessage("new", (put(2), rejected), may_be_rejected=frozenset({version_of(rejected)}), body=b"{}"),
    ]
    changes: list[Change] = [RowCommit(COMMITTED, put(1)), QuarantineCommit(COMMITTED, "new")]
    deliveries = {"old": deleted(), "new": deleted()}
    report = checked(sent, deliveries, changes, [put(1)], quarantined={"new": b"{}"})
    assert kinds(report) == ["lost", "wrong_row"]


@pytest.mark.parametrize(
    "changed",
    [
        {"size_bytes": 7},
        {"etag": "other"},
        {"etag": None},
        {"event_name": "ObjectCreated:Copy"},
        {"event_time": datetime(2026, 8, 3, tzinfo=UTC)},
        {"sequencer": "6BFF"},
        {"state": "removed"},
    ],
)
def test_a_row_that_differs_in_one_column_is_wrong(changed: dict[str, Any]) -> None:
    """All columns are compared, sequencer and event time too."""
    row = put(**changed)
    assert "wrong_row" in kinds(
        checked([ExpectedMessage("m", (put(),))], {"m": deleted()}, [RowCommit(COMMITTED, row)], [row])
    )


@pytest.mark.parametrize(("reason", "found"), [("unknown_event", []), ("not_json", ["wrong_reason"])])
def test_the_reason_in_the_quarantine_is_compared(reason: str, found: list[str]) -> None:
    """Where one is expected: an unknown event must be told from a body that is no event at all."""
    sent = [ExpectedMessage("m", is_readable=False, body=b"?", reason="unknown_event")]
    record = QueueRecord({"m": deleted()}, frozenset(), frozenset())
    tables = Tables({}, {"m": b"?"}, {"m": reason})
    assert kinds(HistoryChecker(sent, record, [QuarantineCommit(COMMITTED, "m")], tables).check()) == found


def test_a_row_without_a_message_is_invented() -> None:
    """No message was about this version."""
    row = put(key="unknown")
    assert kinds(checked([], {}, [RowCommit(COMMITTED, row)], [row])) == ["invented_row"]


def test_a_row_may_be_older_than_a_queued_message() -> None:
    """The newer event may still be applied; the row holds the newest event of all deleted messages."""
    sent = [ExpectedMessage("done", (put(1),)), ExpectedMessage("waiting", (put(2),))]
    report = checked(sent, {"done": deleted()}, [RowCommit(COMMITTED, put(1))], [put(1)], queued=("waiting",))
    assert kinds(report) == []


def test_a_commit_of_an_older_row_is_found_although_the_final_row_is_correct() -> None:
    """Readers saw an older row after a newer one for a short time."""
    sent = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    changes = [RowCommit(float(at), put(sequence)) for at, sequence in enumerate((2, 1, 2))]
    assert kinds(checked(sent, {"old": deleted(), "new": deleted()}, changes, [put(2)])) == ["went_back"]
