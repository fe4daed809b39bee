"""Index of commits by row: when an event, or a newer one of the same row, was committed first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from subscriber.events.order import order
from subscriber.model import ObjectEvent
from testkit.checker.commit_log import RowCommit
from testkit.checker.evidence import Version, version_of


class Commits:
    """The commits of one run, in commit order.

    Args:
        commits: every commit of a row, in order.
    """

    def __init__(self, commits: Iterable[RowCommit]) -> None:
        self._commits: dict[Version, list[RowCommit]] = defaultdict(list)
        for commit in commits:
            self._commits[version_of(commit.row)].append(commit)

    def of(self, version: Version) -> Sequence[RowCommit]:
        """The commits of one row, in order."""
        return self._commits.get(version, ())

    def histories(self) -> Iterator[tuple[Version, Sequence[RowCommit]]]:
        """Every row and its commits, in order."""
        yield from self._commits.items()

    def committed_at(self, event: ObjectEvent) -> float | None:
        """Unix seconds at which the event, or a newer one of the same row, was first committed; None: never."""
        asked = order(event)
        return next((commit.committed_at for commit in self.of(version_of(event)) if order(commit.row) >= asked), None)
