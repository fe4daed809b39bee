"""Checks the history of every message for loss, wrong rows and early deletes, without relying on the daemon.

It uses four sources of evidence: the events of each sent message (the load); the receives, deletes and remaining
messages that the SQS emulator recorded; the commits and their times (`commit_log.py`); and the tables at the end.
Each message must end in exactly one state: stored (its events applied, or superseded by newer ones), quarantined,
without anything for the index, or still in the queue. Everything else is a finding, with its trace.

A message that cannot be decoded completely must be in the quarantine. A message with a row that the database was made
to reject may be there. In both cases its other events must be in the index.

`subscriber/events/order.py` decides which event is newer; rows are compared in all columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from subscriber.events.order import order
from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, QuarantineCommit, RowCommit
from testkit.checker.commits import Commits
from testkit.checker.evidence import DeliveryRecord, ExpectedMessage, QueueRecord, Tables, Version, version_of

ErrorKind: TypeAlias = Literal[
    "lost",
    "vanished",
    "deleted_before_commit",
    "wrong_row",
    "invented_row",
    "went_back",
    "quarantined_wrongly",
    "wrong_body",
    "wrong_reason",
    "dead_letter",
]
"""The kinds of findings:

lost: deleted from the queue, but neither stored nor quarantined.
vanished: neither deleted nor in the queue.
deleted_before_commit: deleted before a commit made its event, or its body, durable.
wrong_row: the final row is none of the events sent for this version, or older than a deleted message's event.
invented_row: a row of a version that no message was about.
went_back: a commit replaced a row by an older one.
quarantined_wrongly: the quarantine holds a body that can be decoded and of which the database rejected no row.
wrong_body: the quarantine holds another body than the one that was sent.
wrong_reason: the quarantine holds the body with another reason than the one that is expected.
dead_letter: a message with something to decode exceeded maxReceiveCount and is in the dead-letter queue.
"""


class Finding(msgspec.Struct, frozen=True):
    """One error, with all the evidence about it."""

    kind: ErrorKind
    message_id: str = ""
    version: Version | None = None
    expected: ObjectEvent | None = None
    row: ObjectEvent | None = None
    commits: tuple[RowCommit, ...] = ()
    received_at: tuple[float, ...] = ()
    deleted_at: float | None = None
    committed_at: float | None = None


class HistoryReport(msgspec.Struct, frozen=True):
    """How many messages ended in which state, and every error."""

    messages: int
    events: int
    stored: int
    quarantined: int
    without_row: int
    queued: int
    findings: tuple[Finding, ...]


class HistoryChecker:
    """Checks the evidence of one run.

    Args:
        sent: every message that entered the queue.
        queue: what the SQS emulator recorded.
        changes: every commit, in order.
        tables: the contents of the tables at the end.
    """

    def __init__(
        self, sent: Iterable[ExpectedMessage], queue: QueueRecord, changes: Sequence[Change], tables: Tables
    ) -> None:
        self._messages = {message.message_id: message for message in sent}
        self._queue = queue
        self._tables = tables
        self.commits = Commits(change for change in changes if isinstance(change, RowCommit))
        """The evidence about rows."""
        self._quarantined_at: dict[str, float] = {}
        for change in changes:
            if isinstance(change, QuarantineCommit):
                self._quarantined_at.setdefault(change.message_id, change.committed_at)

    def check(self) -> HistoryReport:
        """Check every message, every row and every commit."""
        findings = list(self._findings())
        deleted = [message for message in self._messages.values() if self._delivery(message).deleted_at is not None]
        return HistoryReport(
            messages=len(self._messages),
            events=sum(len(message.events) for message in self._messages.values()),
            stored=sum(bool(message.events) and not self._is_in_quarantine(message) for message in deleted),
            quarantined=sum(self._is_in_quarantine(message) for message in deleted),
            without_row=sum(not message.events and message.is_readable for message in deleted),
            queued=len(self._queue.queued),
            findings=tuple(findings),
        )

    def _findings(self) -> Iterator[Finding]:
        for message in self._messages.values():
            yield from self._findings_of_location(message)
            if self._delivery(message).deleted_at is not None:
                yield from self._findings_of_deleted(message)
        yield from self._findings_of_rows()
        yield from self._findings_of_commits()

    def _findings_of_location(self, message: ExpectedMessage) -> Iterator[Finding]:
        delivery, name = self._delivery(message), message.message_id
        if delivery.deleted_at is None and name not in self._queue.queued and name not in self._queue.dead_letters:
            yield self._finding("vanished", message)
        if (message.is_readable or message.events) and name in self._queue.dead_letters:
            yield self._finding("dead_letter", message)
        if name in self._tables.quarantined:
            if message.is_readable and not message.may_be_rejected:
                yield self._finding("quarantined_wrongly", message)
            elif self._tables.quarantined[name] != message.body:
                yield self._finding("wrong_body", message)
            if message.reason not in {None, self._tables.reasons.get(name)}:
                yield self._finding("wrong_reason", message)

    def _findings_of_deleted(self, message: ExpectedMessage) -> Iterator[Finding]:
        deleted_at = self._delivery(message).deleted_at or 0.0
        if not message.is_readable or (message.may_be_rejected and self._is_in_quarantine(message)):
            quarantined_at = self._quarantined_at.get(message.message_id)
            if quarantined_at is None or not self._is_in_quarantine(message):
                yield self._finding("lost", message)
            elif quarantined_at > deleted_at and not self._rows_were_committed(message, deleted_at):
                yield self._finding("deleted_before_commit", message, None, quarantined_at)
        for event in message.events:
            if self._is_rejected(message, event):
                continue
            committed_at = self.commits.committed_at(event)
            if committed_at is None or not self._has_row_for(event):
                yield self._finding("lost", message, event, committed_at)
            elif committed_at > deleted_at:
                yield self._finding("deleted_before_commit", message, event, committed_at)

    def _rows_were_committed(self, message: ExpectedMessage, deleted_at: float) -> bool:
        """Whether all rows of a readable message were committed by then: one delivery may be stored, another kept."""
        commits = [self.commits.committed_at(event) for event in message.events]
        return message.is_readable and all(at is not None and at <= deleted_at for at in commits)

    def _findings_of_rows(self) -> Iterator[Finding]:
        newest: dict[Version, ObjectEvent] = {}
        for message in self._messages.values():
            for event in message.events:
                held = newest.get(version_of(event))
                if held is None or order(event) > order(held):
                    newest[version_of(event)] = event
        for version, row in self._tables.rows.items():
            if version not in newest:
                yield Finding("invented_row", version=version, row=row, commits=tuple(self.commits.of(version)))
            elif row != newest[version] and not self._is_acceptable(row):
                commits = tuple(self.commits.of(version))
                yield Finding("wrong_row", version=version, expected=newest[version], row=row, commits=commits)

    def _is_acceptable(self, row: ObjectEvent) -> bool:
        """Whether the row is an event that was sent, and each newer event was rejected or is still in the queue."""
        sent = [
            (message, event) for message in self._messages.values() for event in message.events if is_same(event, row)
        ]
        newer = [(message, event) for message, event in sent if order(event) > order(row)]
        return any(event == row for _, event in sent) and all(
            self._is_rejected(message, event) or self._delivery(message).deleted_at is None for message, event in newer
        )

    def _findings_of_commits(self) -> Iterator[Finding]:
        for version, commits in self.commits.histories():
            for earlier, later in pairwise(commits):
                if order(later.row) < order(earlier.row):
                    yield Finding("went_back", version=version, row=later.row, commits=tuple(commits))

    def _delivery(self, message: ExpectedMessage) -> DeliveryRecord:
        return self._queue.deliveries.get(message.message_id) or DeliveryRecord()

    def _is_in_quarantine(self, message: ExpectedMessage) -> bool:
        return message.message_id in self._tables.quarantined

    def _is_rejected(self, message: ExpectedMessage, event: ObjectEvent) -> bool:
        """Whether the database was made to reject this row of the message, and the quarantine holds the message."""
        return version_of(event) in message.may_be_rejected and self._is_in_quarantine(message)

    def _has_row_for(self, event: ObjectEvent) -> bool:
        row = self._tables.rows.get(version_of(event))
        return row is not None and order(row) >= order(event)

    def _finding(
        self,
        kind: ErrorKind,
        message: ExpectedMessage,
        event: ObjectEvent | None = None,
        committed_at: float | None = None,
    ) -> Finding:
        delivery = self._delivery(message)
        version = version_of(event) if event else None
        return Finding(
            kind,
            message_id=message.message_id,
            version=version,
            expected=event,
            row=self._tables.rows.get(version) if version else None,
            commits=tuple(self.commits.of(version)) if version else (),
            received_at=tuple(delivery.received_at),
            deleted_at=delivery.deleted_at,
            committed_at=committed_at,
        )


def is_same(one: ObjectEvent, other: ObjectEvent) -> bool:
    """Whether both are about the same row."""
    return version_of(one) == version_of(other)
