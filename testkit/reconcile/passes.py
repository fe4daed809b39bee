"""Interleavings in which the real range pass compares and repairs, in virtual time, with the rows in a dictionary."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

from subscriber.adapters.postgres.object_index import Matched
from subscriber.jobs import Counters, Job, JobOptions, JobRange, RangeCounts, Tolerance
from subscriber.model import IndexedVersion, KeyRange, ListedVersion, ObjectEvent, RankedVersion
from subscriber.reconcile.compare import GRACE_SECONDS_AT_LEAST
from subscriber.reconcile.page_digest import SEPARATOR, page_text
from subscriber.reconcile.range_pass import RangeOptions, RangePass
from testkit.reconcile.interleaving import CLOCK_ERROR_SECONDS, Interleaving
from testkit.reconcile.listing import BucketListing

_PAGE_ROWS: Final = 3
_BETWEEN_LOOKS_SECONDS: Final = GRACE_SECONDS_AT_LEAST + 2 * CLOCK_ERROR_SECONDS
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class PassInterleaving(Interleaving):
    """`reconcile` is the range pass; between its looks the bucket's time passes, and everything goes on."""

    repair = True
    suspects_at_most = 1_000

    async def reconcile(self, keys: KeyRange, *, page_entries: int = 1000, is_at_rest: bool = False) -> Counter[str]:
        """Do one range with the range pass; return the number of each kind that it counted."""
        self.observations += 1
        self._under_way += 1
        is_of_versions = self.mix.may_change_versioning or self.bucket.versioning != "unversioned"
        lister = PassLister(self, page_entries, is_of_versions=is_of_versions, is_at_rest=is_at_rest)
        options = RangeOptions(batch_rows=2, suspects_at_most=self.suspects_at_most)
        passed = RangePass(lister, lambda: PassReader(self), PassStore(self), None, options)
        job, held = job_of(self.bucket.name, keys, JobOptions(repair=self.repair, versions=is_of_versions))
        found: Counter[str] = Counter()
        async for page in passed.do_range(job, held):
            found.update(_kinds(page.counters))
        self._under_way -= 1
        self.verdicts += found
        return found

    async def between_looks(self, *, is_at_rest: bool) -> None:
        """The grace passes."""
        if is_at_rest:
            self.bucket.pass_time(_BETWEEN_LOOKS_SECONDS)
        else:
            await self.let_pass(_BETWEEN_LOOKS_SECONDS)

    async def written(self, rows: Sequence[ObjectEvent]) -> int:
        """Write rows of a pass."""
        count = await self.index.store(rows)
        await self._watch()
        return count

    @property
    def random(self) -> Random:
        """The source of chance."""
        return self._random

    async def go_on(self) -> None:
        """What happens between two pages."""
        await self._go_on()


class PassLister(BucketListing):
    """Lists the bucket of a run; before a second look the grace passes."""

    def __init__(self, run: PassInterleaving, page_entries: int, *, is_of_versions: bool, is_at_rest: bool) -> None:
        super().__init__(
            run.bucket,
            run.random,
            self._nothing if is_at_rest else run.go_on,
            is_of_versions=is_of_versions,
            page_entries=page_entries,
            clock_error_seconds=CLOCK_ERROR_SECONDS,
        )
        self._run, self._is_at_rest, self._looks = run, is_at_rest, 0

    async def server_time(self) -> int:
        """See ports.Lister."""
        self._looks += 1
        if self._looks > 1:
            await self._run.between_looks(is_at_rest=self._is_at_rest)
        return await super().server_time()

    async def pages(
        self, keys: KeyRange, entries_at_most: int | None = None
    ) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """As BucketListing lists; the length of pages is chance here, whatever is asked for."""
        assert entries_at_most is None or entries_at_most > 0
        async for page in super().pages(keys):
            yield page

    async def first_key(self, keys: KeyRange) -> str | None:
        """A pass does not split."""
        raise NotImplementedError

    async def has_versioning(self) -> bool:
        """Whether the bucket has, or ever had, versioning."""
        return self._run.bucket.versioning != "unversioned"

    async def _nothing(self) -> None:
        """Nothing happens between two pages."""


class PassReader:
    """Reads the index of a run."""

    def __init__(self, run: PassInterleaving) -> None:
        self._index, self._bucket = run.index, run.bucket.name

    async def is_empty(self, bucket: str, keys: KeyRange) -> bool:
        """Whether there is no row."""
        assert bucket == self._bucket
        return not await self._rows(keys)

    async def matches(self, bucket: str, keys: KeyRange, separator: str, versions: int, digest: bytes) -> Matched:
        """As index_digest.sql has it."""
        assert (bucket, separator) == (self._bucket, SEPARATOR)
        rows = [row for row in await self._rows(keys) if row.state != "removed"]
        rows.sort(key=_place, reverse=True)
        rows.sort(key=lambda row: row.key)
        text = page_text([_as_listed(row) for row in rows])
        return Matched(len(rows) == versions and hashlib.sha256(text.encode()).digest() == digest, 0.0)

    async def pages(self, bucket: str, keys: KeyRange) -> AsyncGenerator[Sequence[IndexedVersion], None]:
        """The rows, a few at a time."""
        assert bucket == self._bucket
        async for page in self._index.pages(keys, _PAGE_ROWS):
            yield page

    async def close(self) -> None:
        """There is no connection."""

    async def _rows(self, keys: KeyRange) -> list[IndexedVersion]:
        return [row async for page in self._index.pages(keys, _PAGE_ROWS) for row in page]


class PassStore:
    """Writes to the index of a run."""

    def __init__(self, run: PassInterleaving) -> None:
        self._run = run

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert rows, which come in the order of keys."""
        assert limit_seconds > 0
        assert [*rows] == sorted(rows, key=lambda row: (row.key, row.version_id)), "rows are locked in this order"
        return await self._run.written(rows)

    async def add_listed(self, bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bool:
        """Add rows, if there is none of them."""
        rows = [added_event(bucket, each, sequencer, event_name) for each, sequencer in versions]
        known = {(row.key, row.version_id) for row in await self._run.index.versions()}
        if any((row.key, row.version_id) in known for row in rows):
            return False
        assert [*rows] == sorted(rows, key=lambda row: (row.key, row.version_id)), "rows are locked in this order"
        return await self._run.written(rows) == len(rows)


def added_event(bucket: str, version: ListedVersion, sequencer: str, event_name: str) -> ObjectEvent:
    """The row that a listed version must become."""
    return ObjectEvent(
        bucket=bucket,
        key=version.key,
        version_id=version.version_id,
        state="delete_marker" if version.is_marker else "present",
        sequencer=sequencer,
        event_name=event_name,
        event_time=datetime.fromtimestamp(version.last_modified, UTC),
        size_bytes=None if version.is_marker else version.size_bytes,
        etag=None if version.is_marker else version.etag,
    )


def job_of(bucket: str, keys: KeyRange, options: JobOptions) -> tuple[Job, JobRange]:
    """A job with one range that no table holds."""
    job = Job(
        job_id=1,
        kind="reconcile",
        bucket=bucket,
        prefix="",
        options=options,
        state="running",
        concurrency=1,
        tolerance=Tolerance(),
        created_by="",
        created_at=_NOW,
        started_at=_NOW,
        finished_at=None,
        ranges=RangeCounts(running=1),
        counters=Counters(),
    )
    held = JobRange(1, 1, keys, None, "running", 1, 1, None, None, None, Counters(), (), None, _NOW, None)
    return job, held


def _kinds(counters: Counters) -> dict[str, int]:
    kinds = {kind: getattr(counters, kind) for kind in ("missing", "ghost", "stale", "fresh")}
    return {kind: count for kind, count in kinds.items() if count}


def _place(row: IndexedVersion) -> tuple[object, ...]:
    size = -1 if row.size_bytes is None else row.size_bytes
    return row.sequencer, row.event_time, row.state != "present", row.state, row.etag or "", size, row.version_id


def _as_listed(row: IndexedVersion) -> ListedVersion:
    is_marker = row.state == "delete_marker"
    return ListedVersion(
        key=row.key,
        version_id=row.version_id,
        is_marker=is_marker,
        is_latest=False,
        last_modified=0,
        size_bytes=row.size_bytes,
        etag=row.etag,
    )
