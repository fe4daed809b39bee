"""Rows that failed alone while the database took others, as a locked row does: no statement for other rows has them.

Each statement with such a row may cost its whole time, and there may be many messages about the row. So it is looked
for once: by a question about locked rows, or by halving where that finds none, as of a row that is inserted and not
committed. From then on the messages about it are set apart from whatever batch they come in: they wait while it is not
proven that the row is the cause, are delayed where it is, and try the row again now and then. Pure, without a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from subscriber.model import Delivery, ObjectEvent

Version: TypeAlias = tuple[str, str, str]
"""Bucket, key and version id: the key of a row."""

FAILING_ROWS_AT_MOST = 1000
"""Of more rows nothing is remembered: where thousands fail, the cause is not one of them."""

TRIED_AGAIN_SECONDS = 5.0
"""A row that is proven to fail is tried again so often, by all batches together: half the first retry delay."""


def version_of(event: ObjectEvent) -> Version:
    """The key of the row that an event is about."""
    return (event.bucket, event.key, event.version_id)


class _Row(msgspec.Struct):
    word: str
    """Why it fails."""
    is_proven: bool = False
    """Whether its message failed again while other rows were taken."""
    due: float = 0.0
    """When it may be tried again, once it is proven."""


class FailingRows:
    """One for all plans of a write stage."""

    def __init__(self) -> None:
        self._rows: dict[Version, _Row] = {}
        self._searcher: object | None = None

    @property
    def may_concern_others(self) -> bool:
        """Whether a new batch has to know anything: a failing row, or that one is being looked for."""
        return bool(self._rows) or self._searcher is not None

    def begin_search(self, plan: object) -> None:
        """A plan looks for a row whose statements take their whole time; does nothing while another one does."""
        if self._searcher is None:
            self._searcher = plan

    def may_search(self, plan: object) -> bool:
        """Whether a plan may look for its row now: one after the other, for all may look for the same."""
        return self._searcher is None or self._searcher is plan

    def end_search(self, plan: object) -> None:
        """The plan has nothing more to look for."""
        if self._searcher is plan:
            self._searcher = None

    def __len__(self) -> int:
        return len(self._rows)

    def suspect(self, version: Version, word: str) -> None:
        """The row failed alone, which may be the database's fault."""
        if len(self._rows) < FAILING_ROWS_AT_MOST:
            self._rows.setdefault(version, _Row(word))

    def prove(self, versions: Iterable[Version], now: float) -> None:
        """It failed again although the database takes other rows."""
        for version in versions:
            if (row := self._rows.get(version)) is not None:
                row.is_proven, row.due = True, now + TRIED_AGAIN_SECONDS

    def forget(self, versions: Iterable[Version]) -> None:
        """They were stored."""
        for version in versions:
            self._rows.pop(version, None)

    def forget_unproven(self, versions: Iterable[Version]) -> None:
        """Nobody tries any more to find out whether they are the cause."""
        self.forget([version for version in versions if (row := self._rows.get(version)) and not row.is_proven])

    def concern(self, delivery: Delivery) -> bool:
        """Whether one of them is a row of this message."""
        return any(version_of(event) in self._rows for event in delivery.events)

    def of(self, delivery: Delivery) -> list[_Row]:
        """Those that are rows of this message."""
        return [row for event in delivery.events if (row := self._rows.get(version_of(event))) is not None]


class Apart:
    """The messages of one batch that wait for failing rows.

    Args:
        failing_rows: those of the write stage.
    """

    def __init__(self, failing_rows: FailingRows) -> None:
        self._failing_rows = failing_rows
        self.deliveries: list[Delivery] = []

    def separate(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Set those apart that are about a failing row; the others."""
        if not self._failing_rows:
            return deliveries
        concerned = [one for one in deliveries if self._failing_rows.concern(one)]
        if not concerned:
            return deliveries
        self.deliveries += concerned
        return [one for one in deliveries if not self._failing_rows.concern(one)]

    def take_freed(self) -> list[Delivery]:
        """Those whose rows are not known to fail any more: they are like any other message again."""
        freed = [one for one in self.deliveries if not self._failing_rows.concern(one)]
        if freed:
            self.deliveries = [one for one in self.deliveries if self._failing_rows.concern(one)]
        return freed

    def take_due(self, now: float) -> tuple[list[Delivery], list[tuple[Delivery, str]]]:
        """Whose rows are proven to fail: who tries them again now, and who is delayed, each with the reason.

        The others go on waiting. One at a time tries, on behalf of all: together with another, whose row may be free
        by now, it would cost that one a delay.
        """
        tried: list[Delivery] = []
        delayed: list[tuple[Delivery, str]] = []
        waiting: list[Delivery] = []
        due = {one.message.receipt_handle for one in self.deliveries if self._is_due(one, now)}
        for one in self.deliveries:
            rows = self._failing_rows.of(one)
            if one.message.receipt_handle in due and not tried:
                tried.append(one)
                self._failing_rows.prove(map(version_of, one.events), now)
            elif one.message.receipt_handle not in due and all(row.is_proven for row in rows):
                delayed.append((one, rows[0].word))
            else:
                waiting.append(one)
        self.deliveries = waiting
        return tried, delayed

    def _is_due(self, delivery: Delivery, now: float) -> bool:
        return all(row.is_proven and row.due <= now for row in self._failing_rows.of(delivery))
