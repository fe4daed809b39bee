"""The suspects of one batch: messages that failed alone, or whose row another session keeps locked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from subscriber.model import Delivery
from subscriber.pipeline.failing_rows import FailingRows, Version
from subscriber.pipeline.judgment import DATABASE_BACKOFF
from subscriber.pipeline.steps import Evidence, StoreRows, Suspect, part_of


class Suspects:
    """Those that wait for evidence, and the rows of each that fail.

    Args:
        failing_rows: those of the write stage.
    """

    def __init__(self, failing_rows: FailingRows) -> None:
        self._failing_rows = failing_rows
        self._waiting: list[Suspect] = []
        self._rows: dict[str, set[Version]] = {}
        """Failing rows of each suspect, by receipt handle."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Suspect]:
        return iter(self._waiting)

    def add(self, delivery: Delivery, limit_seconds: float, now: float, evidence: Evidence) -> None:
        """It failed alone first, or its row was found locked: wait for more than `evidence`."""
        one = Suspect(delivery, limit_seconds, seen=evidence, tried=evidence, due=now)
        self._waiting.append(one)

    def add_again(self, suspect: Suspect, now: float, evidence: Evidence) -> None:
        """One failed once more, and it is not proven that it is the cause."""
        due = now + DATABASE_BACKOFF.delay_seconds(suspect.tries)
        self._waiting.append(msgspec.structs.replace(suspect, tried=evidence, due=due, tries=suspect.tries + 1))

    def remove(self, delivery: Delivery) -> Suspect | None:
        """It was tried again; None: it is none of them."""
        found = next((one for one in self._waiting if one.delivery is delivery), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def keep(self, is_kept: Callable[[Delivery], bool]) -> None:
        """Drop all others: nobody tries their rows any more."""
        for one in self._waiting:
            if not is_kept(one.delivery):
                self.forget(one.delivery)
        self._waiting = [one for one in self._waiting if is_kept(one.delivery)]

    def due(self, now: float, evidence: Evidence) -> StoreRows | None:
        """One that may be tried now; `remove` it when it was."""
        suspect = next((one for one in self._waiting if one.may_be_tried(now, evidence)), None)
        if suspect is None:
            return None
        return msgspec.structs.replace(part_of([suspect.delivery], suspect.limit_seconds), is_suspect=True)

    def name_rows(self, delivery: Delivery, rows: Iterable[Version], word: str) -> None:
        """These rows of a suspect fail: messages about them are set apart from now on."""
        named = self._rows.setdefault(delivery.message.receipt_handle, set())
        for version in rows:
            self._failing_rows.suspect(version, word)
            named.add(version)

    def prove(self, delivery: Delivery, now: float) -> None:
        """It failed again although the database takes other rows."""
        self._failing_rows.prove(self._rows.pop(delivery.message.receipt_handle, ()), now)

    def forget(self, delivery: Delivery) -> None:
        """Its rows are not known to be the cause: messages about them may be tried."""
        self._failing_rows.forget_unproven(self._rows.pop(delivery.message.receipt_handle, ()))

    def forget_all(self) -> None:
        """Nobody tries them any more."""
        for rows in self._rows.values():
            self._failing_rows.forget_unproven(rows)
