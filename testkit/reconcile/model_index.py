"""`object_versions` and its view in a dictionary: the order and the guard of the real ones, and a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol, TypeAlias

from subscriber.events.order import order
from subscriber.model import IndexedVersion, KeyRange, ObjectEvent
from testkit.workload.bucket import ObjectRow, VersionRow

Identity: TypeAlias = tuple[str, str]
"""Key and version id, in one bucket."""


class Index(Protocol):
    """An index of one bucket that events and observations are written to."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Upsert rows, one per object version, in key order; return how many were applied."""
        ...

    def pages(self, keys: KeyRange, page_rows: int) -> AsyncIterator[Sequence[IndexedVersion]]:
        """The rows of a range in the order of the primary key, each page as of the time when it is asked for."""
        ...

    async def versions(self) -> list[VersionRow]:
        """All rows, in key order."""
        ...

    async def objects(self) -> list[ObjectRow]:
        """The rows of the view, in key order."""
        ...

    async def removed_for_good(self) -> frozenset[Identity]:
        """The tombstones of versions that are not the null version."""
        ...


class ModelIndex:
    """The index as its rules say; `now` gives the time of a write."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._rows: dict[Identity, tuple[ObjectEvent, datetime]] = {}

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Keep the newer row of each version."""
        newer = [row for row in rows if self._is_newer(row)]
        self._rows.update({(row.key, row.version_id): (row, self._now()) for row in newer})
        return len(newer)

    async def pages(self, keys: KeyRange, page_rows: int) -> AsyncIterator[Sequence[IndexedVersion]]:
        """The rows of a range in the order of the primary key."""
        after: Identity = ("", "")
        while page := [identity for identity in self._identities(keys) if identity > after][:page_rows]:
            yield [_indexed(*self._rows[identity]) for identity in page]
            after = page[-1]

    async def versions(self) -> list[VersionRow]:
        """All rows, in key order."""
        return [_version_row(row) for _, (row, _) in sorted(self._rows.items(), key=lambda item: item[0])]

    async def objects(self) -> list[ObjectRow]:
        """Per key the newest row that is not removed, if it is present."""
        return list(_objects(row for row, _ in self._rows.values()))

    async def removed_for_good(self) -> frozenset[Identity]:
        """The tombstones of versions that are not the null version."""
        return frozenset(each for each, (row, _) in self._rows.items() if row.state == "removed" and row.version_id)

    def _identities(self, keys: KeyRange) -> list[Identity]:
        return sorted(
            (key, version_id)
            for key, version_id in self._rows
            if key > keys.after and (keys.upto is None or key <= keys.upto)
        )

    def _is_newer(self, row: ObjectEvent) -> bool:
        held = self._rows.get((row.key, row.version_id))
        return held is None or order(row) > order(held[0])


def _objects(rows: Iterable[ObjectEvent]) -> Iterable[ObjectRow]:
    left = sorted(
        (row for row in rows if row.state != "removed"), key=lambda row: (row.key, order(row), row.version_id)
    )
    for _, versions in groupby(left, key=lambda row: row.key):
        newest = list(versions)[-1]
        if newest.state == "present":
            yield ObjectRow(newest.bucket, newest.key, newest.version_id, newest.size_bytes, newest.etag)


def _indexed(row: ObjectEvent, ingested_at: datetime) -> IndexedVersion:
    return IndexedVersion(
        key=row.key,
        version_id=row.version_id,
        state=row.state,
        sequencer=row.sequencer,
        size_bytes=row.size_bytes,
        etag=row.etag,
        event_time=row.event_time,
        ingested_at=ingested_at,
    )


def _version_row(row: ObjectEvent) -> VersionRow:
    return VersionRow(row.bucket, row.key, row.version_id, row.state, row.size_bytes, row.etag)
