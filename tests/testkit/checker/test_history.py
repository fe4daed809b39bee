"""The checker of histories finds every kind of error, and nothing in a history that is right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, QuarantineCommit, RowCommit
from testkit.checker.evidence import ExpectedMessage, Passage, QueueRecord, Tables, version_of
from testkit.checker.history import Account, History

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
"""What the database was made to refuse."""


def judged(
    told: list[ExpectedMessage],
    passages: dict[str, Passage],
    changes: Sequence[Change],
    rows: list[ObjectEvent],
    *,
    queued: tuple[str, ...] = (),
    dead: tuple[str, ...] = (),
    quarantined: dict[str, bytes] | None = None,
) -> Account:
    """What the checker makes of these testimonies."""
    record = QueueRecord(passages, frozenset(queued), frozenset(dead))
    return History(told, record, changes, Tables({version_of(row): row for row in rows}, quarantined or {})).check()


def kinds(account: Account) -> list[str]:
    """What was found."""
    return [finding.kind for finding in account.findings]


def deleted(at: float = DELETED) -> Passage:
    """Received once, and deleted."""
    return Passage([99.0], at)


def test_a_right_history_has_no_error() -> None:
    """Applied, stale, quarantined, without a row, and still in the queue: each is counted as what it is."""
    told = [
        ExpectedMessage("applied", (put(2),)),
        ExpectedMessage("stale", (put(1),)),
        ExpectedMessage("nonsense", is_readable=False, body=b"?"),
        ExpectedMessage("silent"),
        ExpectedMessage("waiting", (put(3),)),
    ]
    passages = {name: deleted() for name in ("applied", "stale", "nonsense", "silent")}
    changes: list[Change] = [RowCommit(COMMITTED, put(2)), QuarantineCommit(COMMITTED, "nonsense")]
    account = judged(told, passages, changes, [put(2)], queued=("waiting",), quarantined={"nonsense": b"?"})
    assert account == Account(messages=5, events=3, stored=2, quarantined=1, without_row=1, queued=1, findings=())


def test_a_message_deleted_without_a_trace_is_lost() -> None:
    """Its event is not in the table, nor is anything newer."""
    assert kinds(judged([ExpectedMessage("m", (put(),))], {"m": deleted()}, [], [])) == ["lost"]


def test_an_older_row_does_not_stand_for_a_newer_event() -> None:
    """The message told of something newer than what is there: it is lost, and the row is wrong."""
    told = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    passages = {"old": deleted(), "new": deleted()}
    assert kinds(judged(told, passages, [RowCommit(COMMITTED, put(1))], [put(1)])) == ["lost", "wrong_row"]


def test_one_lost_event_of_two_is_lost() -> None:
    """A message is only done when all of its events are."""
    other = put(key="b.parquet")
    account = judged([ExpectedMessage("m", (put(), other))], {"m": deleted()}, [RowCommit(COMMITTED, put())], [put()])
    assert [(finding.kind, finding.told) for finding in account.findings] == [("lost", other)]


def test_deleted_before_commit() -> None:
    """The row came in the end, but the message was deleted while nothing durable stood for it."""
    account = judged([ExpectedMessage("m", (put(),))], {"m": deleted(DELETED)}, [RowCommit(LATER, put())], [put()])
    assert [(finding.kind, finding.deleted_at, finding.committed_at) for finding in account.findings] == [
        ("deleted_before_commit", DELETED, LATER)
    ]


def test_an_older_commit_does_not_excuse_an_early_delete() -> None:
    """Only a commit of the event itself, or of something newer, makes it durable."""
    told = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    changes = [RowCommit(COMMITTED, put(1)), RowCommit(LATER, put(2))]
    assert kinds(judged(told, {"old": deleted(), "new": deleted()}, changes, [put(2)])) == ["deleted_before_commit"]


def test_a_row_whose_commit_nobody_saw_is_lost() -> None:
    """The table alone is no proof: the commit log has to know of it."""
    assert kinds(judged([ExpectedMessage("m", (put(),))], {"m": deleted()}, [], [put()])) == ["lost"]


def test_quarantined_after_the_delete_is_too_late() -> None:
    """The same holds for bodies."""
    told = [ExpectedMessage("m", is_readable=False, body=b"?")]
    changes = [QuarantineCommit(LATER, "m")]
    assert kinds(judged(told, {"m": deleted()}, changes, [], quarantined={"m": b"?"})) == ["deleted_before_commit"]


def test_nonsense_that_is_not_in_the_quarantine_is_lost() -> None:
    """Deleted unread, and nowhere kept."""
    assert kinds(judged([ExpectedMessage("m", is_readable=False, body=b"?")], {"m": deleted()}, [], [])) == ["lost"]


def test_another_body_in_the_quarantine_is_wrong() -> None:
    """Kept means kept byte for byte."""
    told, changes = [ExpectedMessage("m", is_readable=False, body=b"?")], [QuarantineCommit(COMMITTED, "m")]
    assert kinds(judged(told, {"m": deleted()}, changes, [], quarantined={"m": b"!"})) == ["wrong_body"]


def test_a_message_that_is_nowhere_has_vanished() -> None:
    """It was never deleted, and the queue does not have it."""
    assert kinds(judged([ExpectedMessage("m", (put(),))], {"m": Passage([99.0])}, [], [])) == ["vanished"]


def test_a_healthy_message_in_the_wrong_place() -> None:
    """Neither the dead-letter queue nor the quarantine is for what can be read."""
    commit, row = RowCommit(COMMITTED, put()), put()
    dead = judged([ExpectedMessage("m", (put(),))], {"m": Passage([99.0])}, [commit], [row], dead=("m",))
    kept = judged([ExpectedMessage("m", (put(),))], {"m": deleted()}, [commit], [row], quarantined={"m": b"{}"})
    assert (kinds(dead), kinds(kept)) == (["dead_letter"], ["quarantined_wrongly"])


def test_what_the_database_was_made_to_refuse_may_be_in_the_quarantine() -> None:
    """There as it was sent, and before the delete; the row stays what was told before."""
    told = [ExpectedMessage("stored", (put(1),)), ExpectedMessage("refused", (put(2),), refusable=ROW, body=b"{}")]
    changes: list[Change] = [RowCommit(COMMITTED, put(1)), QuarantineCommit(COMMITTED, "refused")]
    passages = {name: deleted() for name in ("stored", "refused")}
    account = judged(told, passages, changes, [put(1)], quarantined={"refused": b"{}"})
    assert account == Account(messages=2, events=2, stored=1, quarantined=1, without_row=0, queued=0, findings=())


def test_what_may_be_refused_is_lost_like_any_other() -> None:
    """Neither stored nor quarantined, quarantined after the delete, or with another body."""
    told = [ExpectedMessage("m", (put(),), refusable=ROW, body=b"{}")]
    late: list[Change] = [QuarantineCommit(LATER, "m")]
    good: list[Change] = [QuarantineCommit(COMMITTED, "m")]
    passages = {"m": deleted()}
    assert kinds(judged(told, passages, [], [])) == ["lost"]
    assert kinds(judged(told, passages, late, [], quarantined={"m": b"{}"})) == ["deleted_before_commit"]
    assert kinds(judged(told, passages, good, [], quarantined={"m": b"?"})) == ["wrong_body"]


def test_a_refused_row_does_not_excuse_the_good_ones_beside_it() -> None:
    """The body is in the quarantine, and the message's other event must be in the index all the same."""
    other = put(key="b.parquet")
    told = [ExpectedMessage("m", (put(), other), refusable=ROW, body=b"{}")]
    kept: list[Change] = [QuarantineCommit(COMMITTED, "m")]
    passages, bodies = {"m": deleted()}, {"m": b"{}"}
    lost = judged(told, passages, kept, [], quarantined=bodies)
    late = judged(told, passages, [*kept, RowCommit(LATER, other)], [other], quarantined=bodies)
    both = judged(told, passages, [*kept, RowCommit(COMMITTED, other)], [other], quarantined=bodies)
    assert [(finding.kind, finding.told) for finding in lost.findings] == [("lost", other)]
    assert (kinds(late), kinds(both)) == (["deleted_before_commit"], [])


def test_what_can_be_read_of_a_message_is_in_the_index_and_all_of_it_in_the_quarantine() -> None:
    """Either without the other is a loss, and the dead-letter queue is no place for it."""
    told = [ExpectedMessage("m", (put(),), is_readable=False, body=b"{}")]
    row, kept = RowCommit(COMMITTED, put()), QuarantineCommit(COMMITTED, "m")
    passages, bodies = {"m": deleted()}, {"m": b"{}"}
    assert kinds(judged(told, passages, [row, kept], [put()], quarantined=bodies)) == []
    assert kinds(judged(told, passages, [kept], [], quarantined=bodies)) == ["lost"]
    assert kinds(judged(told, passages, [row], [put()])) == ["lost"]
    assert kinds(judged(told, {"m": Passage([99.0])}, [], [], dead=("m",))) == ["dead_letter"]


def test_a_newer_row_of_a_message_that_was_refused_for_another_is_missed() -> None:
    """The row stayed what was told before, and nobody refused the newer one."""
    refused = put(key="b.parquet")
    told = [
        ExpectedMessage("old", (put(1),)),
        ExpectedMessage("new", (put(2), refused), refusable=frozenset({version_of(refused)}), body=b"{}"),
    ]
    changes: list[Change] = [RowCommit(COMMITTED, put(1)), QuarantineCommit(COMMITTED, "new")]
    passages = {"old": deleted(), "new": deleted()}
    account = judged(told, passages, changes, [put(1)], quarantined={"new": b"{}"})
    assert kinds(account) == ["lost", "wrong_row"]


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
    """All columns count, sequencer and event time too."""
    row = put(**changed)
    assert "wrong_row" in kinds(
        judged([ExpectedMessage("m", (put(),))], {"m": deleted()}, [RowCommit(COMMITTED, row)], [row])
    )


def test_a_row_nobody_told_of_is_invented() -> None:
    """No message said anything of this version."""
    row = put(key="nobody")
    assert kinds(judged([], {}, [RowCommit(COMMITTED, row)], [row])) == ["invented_row"]


def test_a_row_may_be_behind_what_is_still_queued() -> None:
    """What is newer may still come; the row is what was told last of what is done."""
    told = [ExpectedMessage("done", (put(1),)), ExpectedMessage("waiting", (put(2),))]
    account = judged(told, {"done": deleted()}, [RowCommit(COMMITTED, put(1))], [put(1)], queued=("waiting",))
    assert kinds(account) == []


def test_a_commit_that_went_back_is_found_though_the_end_is_right() -> None:
    """For a moment readers saw an older row after a newer one."""
    told = [ExpectedMessage("old", (put(1),)), ExpectedMessage("new", (put(2),))]
    changes = [RowCommit(float(at), put(sequence)) for at, sequence in enumerate((2, 1, 2))]
    assert kinds(judged(told, {"old": deleted(), "new": deleted()}, changes, [put(2)])) == ["went_back"]
