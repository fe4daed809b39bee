"""A bucket of millions of keys that is computed from a seed and stored nowhere.

Keys come in blocks, `lake/site=0003/date=2025-04-17/part-00042-….parquet`: a block's prefix is a function of its number
and grows with it, so that the block of any key is found by bisection. What follows the prefix comes from one of a few
pools of entries, rendered once with placeholders for what differs between blocks. A page is then a slice of a pool,
joined, with its placeholders replaced: a few copies of memory, whatever the number of keys.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from testkit.s3.contents import Position
from testkit.s3.entries import Entry, Form
from testkit.s3.pools import DAY, PREFIX, STEM, Pool, make_pool

Layout: TypeAlias = Literal["lake", "mixed"]

POOLS: Final = 16
_FIRST_DAY: Final = date(2025, 1, 1)
_DAYS: Final = 365
_TOGETHER: Final = 64
"""How many entries are filled at once: some 30 kB, which the allocator has at hand. Memory of a whole page comes anew
from the kernel each time, which costs four times the filling itself."""
_HOSTILE_EVERY: Final = 8
"""In the layout `mixed`, one of so many pools has hostile keys."""


class GeneratedPlan(msgspec.Struct, frozen=True):
    """What a generated bucket holds."""

    keys: int
    """How many keys; with versioning there are about 1.6 versions and markers of each."""
    seed: int = 1
    is_versioned: bool = True
    layout: Layout = "lake"
    keys_per_block: int = 1_000
    deep_versions: int = 2_500
    """The versions of one key in every sixteenth block, more than two pages hold."""


class GeneratedBucket:
    """The contents of a generated bucket."""

    def __init__(self, plan: GeneratedPlan) -> None:
        self.plan = plan
        self._blocks = -(-plan.keys // plan.keys_per_block)
        self._pool = functools.lru_cache(POOLS)(self._make_pool)

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return self._blocks

    def prefix(self, block: int) -> str:
        """What all keys of a block, and no others, begin with."""
        return self._prefix(block).decode()

    def stack(self, number: int) -> list[Entry]:
        """The versions of a key, the newest first, by the number of the key in their order."""
        form = Form(is_versions=True, is_encoded=False)
        block, place = divmod(number, self.plan.keys_per_block)
        run = self._block(block, form)
        starts = self._pool(self._digest(block)[0] % POOLS).starts(form)
        return [run.entry(index) for index in range(starts[place], starts[place + 1])]

    def stack_of(self, key: bytes) -> list[Entry]:
        """The versions of a key, the newest first; none if there is no such key."""
        run = next(self.runs(Position(key), Form(is_versions=True, is_encoded=False)), None)
        if run is None:
            return []
        return [run.entry(index) for index in itertools.takewhile(lambda at: run.key(at) == key, range(len(run)))]

    def entries_of(self, block: int) -> list[Entry]:
        """Every entry of a block in order."""
        run = self._block(block, Form(is_versions=True, is_encoded=False))
        return [run.entry(index) for index in range(len(run))]

    def runs(self, position: Position, form: Form) -> Iterator[GeneratedRun]:
        """All entries from a position on, block by block."""
        first = max(bisect_left(range(self._blocks), position.key, key=self._prefix) - 1, 0)
        for number in range(first, self._blocks):
            block = self._block(number, form)
            start = block.find(position) if number <= first + 1 else 0
            if start < len(block):
                yield block.slice(start, len(block))

    def entries(self, *, is_versions: bool) -> Iterator[Entry]:
        """Every entry in order: the truth that a listing is compared with."""
        form = Form(is_versions=is_versions, is_encoded=False)
        for number in range(self._blocks):
            block = self._block(number, form)
            yield from (block.entry(index) for index in range(len(block)))

    def count(self, *, is_versions: bool) -> int:
        """How many entries a complete listing has."""
        form = Form(is_versions=is_versions, is_encoded=False)
        return sum(len(self._block(number, form)) for number in range(self._blocks))

    def _block(self, number: int, form: Form) -> GeneratedRun:
        pool = self._pool(self._digest(number)[0] % POOLS)
        keys = min(self.plan.keys_per_block, self.plan.keys - number * self.plan.keys_per_block)
        last = pool.starts(form)[keys]
        stem = self._digest(number)[1:5].hex().encode()
        return GeneratedRun(pool, form, (self._prefix(number), stem, _day(number)), (0, last))

    def _make_pool(self, number: int) -> Pool:
        return make_pool(
            self.plan.seed * POOLS + number,
            self.plan.keys_per_block,
            is_hostile=self.plan.layout == "mixed" and number % _HOSTILE_EVERY == 0,
            is_versioned=self.plan.is_versioned,
            deep_versions=self.plan.deep_versions if number == 1 else 1,
        )

    def _digest(self, number: int) -> bytes:
        return hashlib.blake2b(b"%d/%d" % (self.plan.seed, number), digest_size=8).digest()

    def _prefix(self, number: int) -> bytes:
        return b"lake/site=%05d/date=%s/" % (number // _DAYS, _day(number))


class GeneratedRun:
    """A slice of a pool under the prefix of one block."""

    def __init__(self, pool: Pool, form: Form, texts: tuple[bytes, bytes, bytes], bounds: tuple[int, int]) -> None:
        self._pool = pool
        self._form = form
        self._prefix, self._stem, self._day = texts
        self._first, self._last = bounds

    def __len__(self) -> int:
        return self._last - self._first

    def key(self, index: int) -> bytes:
        """The key of an entry."""
        return self._prefix + self._template(index).key.replace(STEM, self._stem)

    def version_id(self, index: int) -> str:
        """The version id of an entry."""
        return _filled(self._template(index).version_id, STEM, self._stem)

    def xml(self, first: int, last: int, form: Form) -> bytes:
        """The XML of a slice."""
        templates = self._pool.templates(form)[self._first + first : self._first + last]
        parts = [b"".join(templates[start : start + _TOGETHER]) for start in range(0, len(templates), _TOGETHER)]
        return b"".join(
            [part.replace(PREFIX, self._prefix).replace(STEM, self._stem).replace(DAY, self._day) for part in parts]
        )

    def slice(self, first: int, last: int) -> GeneratedRun:
        """The entries from `first` to before `last`."""
        texts = (self._prefix, self._stem, self._day)
        return GeneratedRun(self._pool, self._form, texts, (self._first + first, self._first + last))

    def find(self, position: Position) -> int:
        """The index of the first entry after a position."""
        if not position.key.startswith(self._prefix):
            return 0 if position.key <= self._prefix else len(self)
        at = bisect_left(range(len(self)), position.key, key=self.key)
        if not position.version_id or at == len(self) or self.key(at) != position.key:
            return at
        place = self._pool.places(self._form).get((self._template(at).key, self._kept_id(position.version_id)))
        if place is None:  # no such version: what follows is the next key
            return bisect_left(range(len(self)), position.key + b"\x00", key=self.key)
        return place + 1 - self._first

    def entry(self, index: int) -> Entry:
        """An entry with all its values."""
        entry = self._template(index)
        return Entry(
            key=self._prefix + entry.key.replace(STEM, self._stem),
            version_id=_filled(entry.version_id, STEM, self._stem),
            is_marker=entry.is_marker,
            is_latest=entry.is_latest,
            last_modified=_filled(entry.last_modified, DAY, self._day),
            etag=_filled(entry.etag, STEM, self._stem),
            size_bytes=entry.size_bytes,
            storage_class=entry.storage_class,
            has_checksum=entry.has_checksum,
        )

    def _template(self, index: int) -> Entry:
        return self._pool.entries(self._form)[self._first + index]

    def _kept_id(self, version_id: str) -> str:
        """A version id as the pool has it."""
        stem = self._stem.decode()
        return STEM.decode("latin-1") + version_id.removeprefix(stem) if version_id.startswith(stem) else version_id


def _filled(text: str, placeholder: bytes, value: bytes) -> str:
    return text.replace(placeholder.decode("latin-1"), value.decode())


@functools.lru_cache(_DAYS)
def _day_of_year(day: int) -> bytes:
    return (_FIRST_DAY + timedelta(days=day)).isoformat().encode()


def _day(number: int) -> bytes:
    return _day_of_year(number % _DAYS)
