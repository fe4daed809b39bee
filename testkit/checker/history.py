"""Was anything lost, wrong or forgotten too early? The whole story of every message, told by others than the daemon.

Four witnesses: the load says what each message told; the queue server says what it handed out, deleted and still
has; the database's log says what was committed and when (`commit_log.py`); the tables say what is there in the end.
Afterwards each message is exactly one of: stored (its events applied, or outdone by newer ones), quarantined, without
anything for the index, or still in the queue. Whatever else happened is an error, with its trace. In the quarantine
belongs the message of which something cannot be read, and may be one of which the database was made to refuse a row;
all its other events must be in the index nevertheless.

The one order of events decides what is newer (`subscriber/events/order.py`), over all columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from subscriber.events.order import order
from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, QuarantineCommit, RowCommit
from testkit.checker.evidence import ExpectedMessage, Passage, QueueRecord, Tables, Version, version_of

ErrorKind: TypeAlias = Literal[
    "lost",
    "vanished",
    "deleted_before_commit",
    "wrong_row",
    "invented_row",
    "went_back",
    "quarantined_wrongly",
    "wrong_body",
    "dead_letter",
]
"""What can be wrong:

lost: deleted from the queue, and no trace in the database.
vanished: neither deleted nor in the queue.
deleted_before_commit: deleted at a moment at which nothing durable stood for it yet.
wrong_row: the final row is none of what was told of this version, or older than what was deleted.
invented_row: a row of a version nobody told of.
went_back: a commit left a row older than the one before.
quarantined_wrongly: a body that can be read, and of which nobody refused anything, is in the quarantine.
wrong_body: the quarantine holds another body than the one that was sent.
dead_letter: a message that holds something to read was received too often, and is in the dead-letter queue.
"""


class Finding(msgspec.Struct, frozen=True):
    """One error, with all that is known of it."""

    kind: ErrorKind
    message_id: str = ""
    version: Version | None = None
    told: ObjectEvent | None = None
    row: ObjectEvent | None = None
    commits: tuple[RowCommit, ...] = ()
    received_at: tuple[float, ...] = ()
    deleted_at: float | None = None
    committed_at: float | None = None


class Account(msgspec.Struct, frozen=True):
    """What became of all messages, and every error."""

    messages: int
    events: int
    stored: int
    quarantined: int
    without_row: int
    queued: int
    findings: tuple[Finding, ...]


class History:
    """The witnesses of one run, and what follows from them.

    Args:
        told: every message that entered the queue.
        queue: what the queue server saw.
        changes: every commit, in order.
        tables: what is there in the end.
    """

    def __init__(
        self, told: Iterable[ExpectedMessage], queue: QueueRecord, changes: Sequence[Change], tables: Tables
    ) -> None:
        self._told = {message.message_id: message for message in told}
        self._queue = queue
        self._tables = tables
        self._commits: dict[Version, list[RowCommit]] = defaultdict(list)
        self._quarantined_at: dict[str, float] = {}
        for change in changes:
            if isinstance(change, QuarantineCommit):
                self._quarantined_at.setdefault(change.message_id, change.committed_at)
            else:
                self._commits[version_of(change.row)].append(change)

    def check(self) -> Account:
        """Every message, every row and every commit."""
        findings = list(self._findings())
        deleted = [message for message in self._told.values() if self._passage(message).deleted_at is not None]
        return Account(
            messages=len(self._told),
            events=sum(len(message.events) for message in self._told.values()),
            stored=sum(bool(message.events) and not self._is_in_quarantine(message) for message in deleted),
            quarantined=sum(self._is_in_quarantine(message) for message in deleted),
            without_row=sum(not message.events and message.is_readable for message in deleted),
            queued=len(self._queue.queued),
            findings=tuple(findings),
        )

    def _findings(self) -> Iterator[Finding]:
        for message in self._told.values():
            yield from self._findings_of_place(message)
            if self._passage(message).deleted_at is not None:
                yield from self._findings_of_deleted(message)
        yield from self._findings_of_rows()
        yield from self._findings_of_commits()

    def _findings_of_place(self, message: ExpectedMessage) -> Iterator[Finding]:
        passage, name = self._passage(message), message.message_id
        if passage.deleted_at is None and name not in self._queue.queued and name not in self._queue.dead_letters:
            yield self._finding("vanished", message)
        if (message.is_readable or message.events) and name in self._queue.dead_letters:
            yield self._finding("dead_letter", message)
        if name in self._tables.quarantined:
            if message.is_readable and not message.refusable:
                yield self._finding("quarantined_wrongly", message)
            elif self._tables.quarantined[name] != message.body:
                yield self._finding("wrong_body", message)

    def _findings_of_deleted(self, message: ExpectedMessage) -> Iterator[Finding]:
        deleted_at = self._passage(message).deleted_at or 0.0
        if not message.is_readable or (message.refusable and self._is_in_quarantine(message)):
            quarantined_at = self._quarantined_at.get(message.message_id)
            if quarantined_at is None or not self._is_in_quarantine(message):
                yield self._finding("lost", message)
            elif quarantined_at > deleted_at:
                yield self._finding("deleted_before_commit", message, None, quarantined_at)
        for event in message.events:
            if self._is_refused(message, event):
                continue
            committed_at = self._committed_at(event)
            if committed_at is None or not self._is_held(event):
                yield self._finding("lost", message, event, committed_at)
            elif committed_at > deleted_at:
                yield self._finding("deleted_before_commit", message, event, committed_at)

    def _findings_of_rows(self) -> Iterator[Finding]:
        newest: dict[Version, ObjectEvent] = {}
        for message in self._told.values():
            for event in message.events:
                held = newest.get(version_of(event))
                if held is None or order(event) > order(held):
                    newest[version_of(event)] = event
        for version, row in self._tables.rows.items():
            if version not in newest:
                yield Finding("invented_row", version=version, row=row, commits=tuple(self._commits[version]))
            elif row != newest[version] and not self._is_excused(row):
                commits = tuple(self._commits[version])
                yield Finding("wrong_row", version=version, told=newest[version], row=row, commits=commits)

    def _is_excused(self, row: ObjectEvent) -> bool:
        """Whether it is something that was told, and all newer was refused or is still to come from the queue."""
        told = [(message, event) for message in self._told.values() for event in message.events if is_same(event, row)]
        newer = [(message, event) for message, event in told if order(event) > order(row)]
        return any(event == row for _, event in told) and all(
            self._is_refused(message, event) or self._passage(message).deleted_at is None for message, event in newer
        )

    def _findings_of_commits(self) -> Iterator[Finding]:
        for version, commits in self._commits.items():
            for earlier, later in pairwise(commits):
                if order(later.row) < order(earlier.row):
                    yield Finding("went_back", version=version, row=later.row, commits=tuple(commits))

    def _passage(self, message: ExpectedMessage) -> Passage:
        return self._queue.passages.get(message.message_id) or Passage()

    def _is_in_quarantine(self, message: ExpectedMessage) -> bool:
        return message.message_id in self._tables.quarantined

    def _is_refused(self, message: ExpectedMessage, event: ObjectEvent) -> bool:
        """Whether the database was made to refuse this row of it, and the quarantine has it instead."""
        return version_of(event) in message.refusable and self._is_in_quarantine(message)

    def _is_held(self, event: ObjectEvent) -> bool:
        row = self._tables.rows.get(version_of(event))
        return row is not None and order(row) >= order(event)

    def _committed_at(self, event: ObjectEvent) -> float | None:
        """When a row first stood for the event: its own, or a newer one that makes it stale."""
        asked = order(event)
        commits = self._commits.get(version_of(event), ())
        return next((commit.committed_at for commit in commits if order(commit.row) >= asked), None)

    def _finding(
        self,
        kind: ErrorKind,
        message: ExpectedMessage,
        event: ObjectEvent | None = None,
        committed_at: float | None = None,
    ) -> Finding:
        passage = self._passage(message)
        version = version_of(event) if event else None
        return Finding(
            kind,
            message_id=message.message_id,
            version=version,
            told=event,
            row=self._tables.rows.get(version) if version else None,
            commits=tuple(self._commits.get(version, ())) if version else (),
            received_at=tuple(passage.received_at),
            deleted_at=passage.deleted_at,
            committed_at=committed_at,
        )


def is_same(one: ObjectEvent, other: ObjectEvent) -> bool:
    """Whether both are about the same row."""
    return version_of(one) == version_of(other)
