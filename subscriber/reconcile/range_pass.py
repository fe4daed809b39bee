"""Compares one range of a bucket with the index, and repairs what differs: the work of a job's workers on a range.

A page of the listing stands beside the same keys of the index. Most pages are equal, which one digest tells; the others
are compared row by row. Where the index has nothing, no row is read (see empty_range.py): a fact of a listing is
ordered so early that it loses to every event that arrives meanwhile. A page without a suspect is done at once; one with
suspects stays open until they were looked at again, after more than the grace, while the listing goes on. So where a
worker ends, what it has not committed is compared again, and no suspect is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

import msgspec

from subscriber.adapters.postgres.object_index import LAST_KEY, Matched
from subscriber.errors import ListingError
from subscriber.jobs import Job, JobRange, PageDone
from subscriber.model import IndexedVersion, KeyRange, ListedVersion, ObjectEvent
from subscriber.observe.log import get_logger
from subscriber.ports import RowWriter, SplittableLister
from subscriber.reconcile.chunks import Chunk, ahead, chunks
from subscriber.reconcile.compare import Context, Verdict, confirmed, default_grace_seconds, judge
from subscriber.reconcile.empty_range import EmptyRange
from subscriber.reconcile.findings import OpenPage, Totals, divided
from subscriber.reconcile.listing_wait import ListingWait
from subscriber.reconcile.merge import VERSIONS_OF_A_KEY_AT_MOST, KeyVersions, merge
from subscriber.reconcile.observation import Moment
from subscriber.reconcile.pace import Pace, Unlimited
from subscriber.reconcile.page_digest import page_digest

BATCH_ROWS: Final = 1000
"""Rows of one statement, as in a batch of events."""
SUSPECTS_AT_MOST: Final = 10_000
"""Versions of one range that differ, about 5 MB. Where repair is asked for, the listing then waits for their second
look."""
PAGE_KEYS: Final = 2_000
"""Keys of the index beside one page of the listing that are done at once: there may be millions that nobody lists."""
AFTER_GRACE_SECONDS: Final = 2.0
"""How much later than the grace the second look begins: S3 tells its time in whole seconds."""
TIME_AGE_SECONDS: Final = 5.0
"""How old the server's time of a second look may be: an older one only orders facts earlier."""
SPARSE: Final = 0.5
"""Where the index had less than this part of a page's versions, the next page is not asked for by its digest."""

T = TypeVar("T")

_log = get_logger()


class RangeLister(SplittableLister, Protocol):
    """What is asked of the bucket."""

    def pages(
        self, keys: KeyRange, entries_at_most: int | None = None
    ) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """See ports.Lister; with `entries_at_most` pages are that short, if it is less than a page."""
        ...

    async def has_versioning(self) -> bool:
        """Whether the bucket has, or ever had, versioning."""
        ...


class IndexReader(Protocol):
    """What is read of the index: adapters.postgres.object_index.ObjectIndex."""

    async def is_empty(self, bucket: str, keys: KeyRange) -> bool:
        """Whether the index has no row in a range, not even a tombstone."""
        ...

    async def matches(self, bucket: str, keys: KeyRange, separator: str, versions: int, digest: bytes) -> Matched:
        """Whether the index has exactly these versions in a range (see page_digest)."""
        ...

    def pages(self, bucket: str, keys: KeyRange) -> AsyncGenerator[Sequence[IndexedVersion], None]:
        """All rows of a range, tombstones included, ordered by key and version id, page by page."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class RangeOptions(msgspec.Struct, frozen=True):
    """How much a range holds at once."""

    batch_rows: int = BATCH_ROWS
    suspects_at_most: int = SUSPECTS_AT_MOST


class _Ends(msgspec.Struct, frozen=True):
    """What a range lies between."""

    lister: RangeLister
    store: RowWriter
    pace: Pace
    options: RangeOptions
    totals: Totals
    waits: ListingWait


class RangePass:
    """Makes a worker's `do_range` (see worker.DoRange); ranges may be done at the same time.

    Args:
        lister: of the job's bucket and prefix, and of the kind of listing that `JobOptions.versions` names.
        open_index: a reader of the index, of its own for each range; closed here.
        store: where repairs go.
        pace: of everything that the database does.
        options: bounds.
    """

    def __init__(
        self,
        lister: RangeLister,
        open_index: Callable[[], IndexReader],
        store: RowWriter,
        pace: Pace | None = None,
        options: RangeOptions | None = None,
    ) -> None:
        self.totals = Totals()
        self.waits = ListingWait()
        self.reached: dict[int, str] = {}
        """Of each range in work, by its number: the key up to which it was listed. What is committed lies behind that
        while suspects wait for their second look."""
        self._open_index = open_index
        self._ends = _Ends(lister, store, pace or Unlimited(), options or RangeOptions(), self.totals, self.waits)

    async def do_range(self, job: Job, held: JobRange) -> AsyncGenerator[PageDone, str | None]:
        """Compare what remains of a range, page by page; the end of the range may be sent as the answer to a page.

        Raises:
            ListingError: the bucket cannot be listed to the end of the range.
            StoreError: the database failed.
        """
        index = self._open_index()
        try:
            looks = _Looks(self._ends, index, job, held.remaining, lambda key: self._note(held.number, key))
            async with aclosing(looks.pages()) as pages:
                async for page in pages:
                    looks.end_at((yield page))
        finally:
            self.reached.pop(held.number, None)
            await index.close()

    def _note(self, number: int, key: str) -> None:
        self.reached[number] = key


class _Looks:
    """The two looks at one range."""

    def __init__(self, ends: _Ends, index: IndexReader, job: Job, keys: KeyRange, note: Callable[[str], None]) -> None:
        self._note_elsewhere = note
        self._reached = ""
        """The last key of the last chunk that was taken up: the range may be cut behind it."""
        self._ends, self._index, self._job, self._keys = ends, index, job, keys
        given = job.options.grace_seconds
        self._grace_seconds = default_grace_seconds(0.0) if given is None else float(given)
        self._clock = asyncio.get_running_loop().time
        self._open: deque[OpenPage] = deque()
        self._suspects = 0
        self._suspects_at_most = ends.options.suspects_at_most
        self._is_empty = False
        """Whether the index had nothing in the range when the attempt began."""
        self._empty: EmptyRange | None = None
        """If the range is to be repaired."""
        self._is_sparse = False
        self._time: tuple[int, float] = (0, float("-inf"))

    def end_at(self, upto: str | None) -> None:
        """The range ends here now: the keys after it are another worker's."""
        if upto is not None and (self._keys.upto is None or upto < self._keys.upto):
            self._keys = KeyRange(self._keys.after, upto)

    async def pages(self) -> AsyncGenerator[PageDone, None]:
        """See RangePass.do_range."""
        context, ends = await self._context(), self._ends
        async with ends.pace.permit():
            self._is_empty = await self._index.is_empty(self._job.bucket, self._keys)
        if self._job.options.repair:
            rows = ends.options.batch_rows
            self._empty = EmptyRange(
                ends.store, ends.pace, self._has_no_row, self._allowed, rows, is_empty=self._is_empty
            )
        is_filled = self._is_empty and self._empty is not None
        chunks_given = ends.waits.timed(self._chunks()) if is_filled else self._chunks()
        async with aclosing(chunks_given) as given, aclosing(self._first_looks(given, context)) as looked:
            async for page in looked:
                self._keep(page)
                while self._open and self._is_due(self._open[0]):
                    yield await self._finished(context.moment)
        while self._open:
            yield await self._finished(context.moment)

    def _keep(self, page: OpenPage) -> None:
        self._suspects += page.held
        page.due_at = self._clock() + self._grace_seconds + AFTER_GRACE_SECONDS
        self._open.append(page)

    def _is_due(self, page: OpenPage) -> bool:
        return not page.suspects or page.due_at <= self._clock() or self._suspects >= self._suspects_at_most

    async def _context(self) -> Context:
        now = self._clock()
        if now - self._time[1] >= TIME_AGE_SECONDS:
            self._time = (await self._ends.lister.server_time(), now)
        options = self._job.options
        return Context(
            self._job.bucket,
            Moment(self._time[0], options.margin_seconds),
            self._grace_seconds,
            are_noncurrent_visible=options.versions,
        )

    async def _storable(
        self, pages: AsyncGenerator[Sequence[ListedVersion], None]
    ) -> AsyncGenerator[Sequence[ListedVersion], None]:
        """Leave out keys that PostgreSQL cannot hold; S3 takes any Unicode (S3 user guide, "Naming objects")."""
        async with aclosing(pages):
            async for page in pages:
                kept = [entry for entry in page if "\0" not in entry.key]
                self._ends.totals.unjudged += len(page) - len(kept)
                yield kept

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        listed = chunks(ahead(self._storable(self._ends.lister.pages(self._keys))), self._keys)
        async with aclosing(listed):
            async for given in listed:
                chunk = given.up_to(self._keys.upto)
                if chunk is None:
                    return
                self._note(LAST_KEY if chunk.keys.upto is None else chunk.keys.upto)
                yield chunk

    def _note(self, key: str) -> None:
        self._reached = key
        self._note_elsewhere(key)

    async def _first_looks(
        self, given: AsyncGenerator[Chunk, None], context: Context
    ) -> AsyncGenerator[OpenPage, None]:
        async for chunk in given:
            async with aclosing(self._first_look(chunk, context)) as looked:
                async for page in looked:
                    yield page

    async def _first_look(self, chunk: Chunk, context: Context) -> AsyncGenerator[OpenPage, None]:
        page = OpenPage(self._ends.totals)
        page.count(requests=chunk.requests)
        if not self._is_empty and await self._is_equal(chunk):
            page.count(listed=len(chunk.entries))
            page.position = self._end_of(chunk)
            yield page
            return
        if self._empty is not None and await self._empty.fill(page, chunk, context):
            self._is_sparse = True
            page.position = self._end_of(chunk)
            yield page
            return
        rows, keys, indexed, previous = list[ObjectEvent](), 0, 0, chunk.keys.after
        async with aclosing(self._beside(chunk, self._rows(chunk.keys))) as found:
            async for versions in found:
                keys += 1
                indexed += len(versions.indexed)
                page.count(listed=len(versions.listed))
                rows += self._judged(page, versions, previous, judge(versions, context))
                previous = versions.key
                if keys % PAGE_KEYS == 0:
                    await self._write(page, rows)
                    page.position = previous
                    yield page
                    page, rows = OpenPage(self._ends.totals), []
        self._is_sparse = indexed < SPARSE * len(chunk.entries)
        await self._write(page, rows)
        page.position = self._end_of(chunk)
        yield page

    def _judged(self, page: OpenPage, versions: KeyVersions, previous: str, verdict: Verdict) -> Iterable[ObjectEvent]:
        """Take the verdict on a key; return the rows that are written at once."""
        repair = self._job.options.repair
        if not verdict.differences:
            page.count_kind(verdict.kind)
            return verdict.rows if repair else ()
        rows, certain, doubtful = divided(verdict) if repair else ((), (), verdict)
        page.report(versions.key, certain)
        if doubtful and not repair and self._suspects + page.held >= self._suspects_at_most:
            self._count_at_once(page, versions.key, doubtful)
        elif doubtful:
            page.suspect(versions.key, previous, doubtful, len(versions.listed))
        return rows

    def _count_at_once(self, page: OpenPage, key: str, verdict: Verdict) -> None:
        """Too much differs to remember it: nothing is lost, and a second look would say the same of most."""
        if not self._ends.totals.looked_at_once:
            _log.warning("reconcile.looked_once", job=self._job.job_id, suspects=self._suspects)
        self._ends.totals.looked_at_once += len(verdict.differences)
        page.report(key, verdict.differences)

    async def _beside(
        self, chunk: Chunk, indexed: AsyncGenerator[Sequence[IndexedVersion], None]
    ) -> AsyncGenerator[KeyVersions, None]:
        """Both sides of each key of a chunk."""
        async with aclosing(indexed), aclosing(merge(_once(chunk.entries), indexed)) as merged:
            async for versions in merged:
                yield versions

    def _rows(self, keys: KeyRange) -> AsyncGenerator[Sequence[IndexedVersion], None]:
        return _once(()) if self._is_empty else self._indexed(keys)

    async def _indexed(self, keys: KeyRange) -> AsyncGenerator[Sequence[IndexedVersion], None]:
        prefix = self._job.prefix
        async with aclosing(self._index.pages(self._job.bucket, keys)) as pages:
            while True:
                async with self._ends.pace.permit():
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page if not prefix else [row for row in page if row.key.startswith(prefix)]

    async def _is_equal(self, chunk: Chunk) -> bool:
        """Whether a digest tells that nothing differs."""
        if self._is_sparse or len(chunk.entries) > VERSIONS_OF_A_KEY_AT_MOST:
            return False
        digest = page_digest(chunk.entries)
        if digest is None:
            return False
        async with self._ends.pace.permit() as use:
            matched = await self._index.matches(
                self._job.bucket, chunk.keys, digest.separator, digest.versions, digest.digest
            )
            use.seconds = matched.seconds
        return matched.is_equal

    async def _write(self, page: OpenPage, rows: Sequence[ObjectEvent]) -> None:
        """Write rows in the order of keys; each statement is committed by itself."""
        if not rows:
            return
        await self._allowed()
        ends, most = self._ends, self._ends.options.batch_rows
        for begin in range(0, len(rows), most):
            async with ends.pace.permit():
                page.count(written=await ends.store.store(rows[begin : begin + most]))

    async def _allowed(self) -> None:
        """Raise if what is listed must not be written."""
        if not self._job.options.versions and await self._ends.lister.has_versioning():
            text = (
                f"{self._job.bucket} got versioning while its current objects were listed, which tell no version ids: "
                "cancel this job and start another"
            )
            raise ListingError("VersioningEnabled", text, is_permanent=True)

    async def _has_no_row(self, keys: KeyRange) -> bool:
        return await self._index.is_empty(self._job.bucket, keys)

    def _end_of(self, chunk: Chunk) -> str:
        if chunk.keys.upto is not None:
            return chunk.keys.upto
        return chunk.entries[-1].key if chunk.entries else LAST_KEY

    async def _finished(self, moment: Moment) -> PageDone:
        """The first open page, after the second look at its suspects."""
        page = self._open.popleft()
        self._suspects -= page.held
        if page.suspects:
            await asyncio.sleep(max(0.0, page.due_at - self._clock()))
            await self._second_look(page)
        return PageDone(page.position, moment.server_time, page.total(), tuple(page.examples), self._reached)

    async def _second_look(self, page: OpenPage) -> None:
        context, keys = await self._context(), page.again
        firsts = {each.key: each.first for each in page.suspects}
        listed, rows = chunks(self._ends.lister.pages(keys, page.entries_again), keys), list[ObjectEvent]()
        async with aclosing(listed):
            async for chunk in listed:
                page.count(requests=chunk.requests)
                async with aclosing(self._beside(chunk, self._indexed(chunk.keys))) as found:
                    again = [versions async for versions in found if versions.key in firsts]
                for versions in again:
                    verdict = confirmed(firsts[versions.key], judge(versions, context))
                    rows += self._confirmed(page, versions.key, verdict)
        await self._allowed()
        await self._write(page, rows)

    def _confirmed(self, page: OpenPage, key: str, verdict: Verdict) -> Iterable[ObjectEvent]:
        page.report(key, verdict.differences)
        if not verdict.differences:
            page.count_kind(verdict.kind)
        return verdict.rows if self._job.options.repair else ()


async def _once(entries: Sequence[T]) -> AsyncGenerator[Sequence[T], None]:
    yield entries
