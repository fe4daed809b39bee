"""What was found of a few keys, and what of it is certain. Pure.

A page stays open while one of its keys is a **suspect**: it differs, and is looked at again after the grace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from subscriber.jobs import EXAMPLES_PER_RANGE, Counters, DriftExample
from subscriber.model import KeyRange, ListedVersion, ObjectEvent
from subscriber.reconcile.compare import Difference, Kind, Verdict

_SHOWN_OF_A_CHUNK: Final = 100
"""Versions of a chunk among which examples are sought."""


class Suspect(msgspec.Struct, frozen=True):
    """A key that differs, as the first look saw it."""

    key: str
    previous: str
    """The key before it, of the bucket or of the index: a narrow listing begins after it."""
    first: Verdict
    """Without rows: the second look makes those that are written."""
    listed_before: int
    """Versions that its page had listed before it."""
    listed_after: int
    """The same, its own included."""


class Totals(msgspec.Struct):
    """What was found in all, by one process."""

    youngest: int | None = None
    """Unix second of the latest change among what differs: LastModified, or of a ghost the time of its row's event."""
    unjudged: int = 0
    """Keys that were not judged: the listing cannot show what the index has, or they have too many versions."""
    looked_at_once: int = 0
    """Versions that were counted without a second look, because too many differed."""

    def add(self, differences: Iterable[Difference]) -> None:
        """Count what is certain."""
        for each in differences:
            self.see(each.changed_at)

    def see(self, changed_at: int) -> None:
        """Something that differs was changed at this Unix second."""
        if self.youngest is None or changed_at > self.youngest:
            self.youngest = changed_at


class OpenPage:
    """Some keys of a range in order, with what was found of them so far.

    Args:
        totals: of the process; what is certain is added.
    """

    def __init__(self, totals: Totals) -> None:
        self.position = ""
        self.examples: list[DriftExample] = []
        self.suspects: list[Suspect] = []
        self.held = 0
        """Differences of all suspects, which is what memory holds."""
        self.due_at = 0.0
        """When the second look may begin, by the clock of the event loop."""
        self._totals = totals
        self._counts = dict.fromkeys(Counters.__struct_fields__, 0)

    def count(self, **counts: int) -> None:
        """Add to the counters."""
        for name, count in counts.items():
            self._counts[name] += count

    def count_kind(self, kind: Kind) -> None:
        """Count a key that was not judged."""
        if kind == "fresh":
            self._counts["fresh"] += 1
        elif kind == "unjudged":
            self._totals.unjudged += 1

    def suspect(self, key: str, previous: str, verdict: Verdict, versions: int) -> None:
        """Remember a key of so many listed versions, which were counted already."""
        first = Verdict(verdict.kind, (), verdict.differences)
        self.suspects.append(Suspect(key, previous, first, self.listed - versions, self.listed))
        self.held += len(verdict.differences)

    def fill(self, entries: Sequence[ListedVersion]) -> None:
        """Count versions that the index had no row of, in the order of keys, none of them fresh."""
        self.count(listed=len(entries), missing=len(entries), bytes=sum([each.size_bytes or 0 for each in entries]))
        for key in dict.fromkeys([each.key for each in entries[:_SHOWN_OF_A_CHUNK]]):
            if len(self.examples) < EXAMPLES_PER_RANGE:
                self.examples.append(DriftExample("missing", key))
        self._totals.see(max([each.last_modified for each in entries]))

    def report(self, key: str, differences: Iterable[Difference]) -> None:
        """Count differences of a key that are certain."""
        told = tuple(differences)
        for each in told:
            self._counts[each.drift] += 1
            self._counts["bytes"] += each.size_bytes or 0
        for drift in dict.fromkeys(each.drift for each in told):
            if len(self.examples) < EXAMPLES_PER_RANGE:
                self.examples.append(DriftExample(drift, key))
        self._totals.add(told)

    @property
    def listed(self) -> int:
        """Versions listed so far."""
        return self._counts["listed"]

    def total(self) -> Counters:
        """The counters so far."""
        return Counters(**self._counts)

    @property
    def again(self) -> KeyRange:
        """The narrowest range with all suspects."""
        return KeyRange(self.suspects[0].previous, self.suspects[-1].key)

    @property
    def entries_again(self) -> int:
        """How long a page must be to show that range, and that it ends, if nothing has changed."""
        return self.suspects[-1].listed_after - self.suspects[0].listed_before + 1


def divided(verdict: Verdict) -> tuple[tuple[ObjectEvent, ...], tuple[Difference, ...], Verdict | None]:
    """What is written at once, what is certain with that, and what waits for a second look.

    A key that lacks a version gets its whole stack at once: ordered too early, it loses to every event that tells more.
    That mends what is stale too. A ghost waits.
    """
    drifts = {each.drift for each in verdict.differences}
    if "missing" not in drifts:
        return (), (), verdict
    if "ghost" not in drifts:  # of a backfill, nearly every key; only a ghost is removed
        return verdict.rows, verdict.differences, None
    ghosts = tuple(each for each in verdict.differences if each.drift == "ghost")
    others = tuple(each for each in verdict.differences if each.drift != "ghost")
    rows = tuple(row for row in verdict.rows if row.state != "removed")
    removed = tuple(row for row in verdict.rows if row.state == "removed")
    return rows, others, Verdict("ghost", removed, ghosts)
