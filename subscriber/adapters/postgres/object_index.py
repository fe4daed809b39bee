"""Reads the index for comparisons with buckets: rows in the order of keys, digests of pages, and a sample of the keys.

Each call is one short statement over a part of the primary key, so no transaction keeps old row versions alive, and a
connection that breaks costs one page.

Rows come as records of the driver. In a trial over 1,500,000 rows (PostgreSQL 18, pages of 5,000) a row took 3.0 to
3.8 µs of CPU in the server and 2.1 to 2.4 µs here. COPY took 2.6 and 2.1 µs; columns joined to one text each, as
columns.py writes them, 3.0 and 2.0 µs, or 1.4 µs here with times as numbers, which are not exact. None of them is
worth its code, since `matches` answers for most pages: with 3.3 µs in the server and 1.0 µs here for a key, the digest
of the listing included. The digest takes 0.4 µs more in the server than sending the text itself, and saves 130 bytes
of traffic for a key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.kept_connection import KeptConnection
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.model import IndexedVersion, KeyRange

TIMEOUT_SECONDS: Final = 60.0
PAGE_ROWS: Final = 5000
"""About 4 MB of rows."""
SAMPLE_BLOCKS: Final = 2000
"""Read for one sample, however large the table is: 16 MB, and about 50,000 rows."""
ROWS_PER_QUANTILE: Final = 30
"""Sampled at least: a range between two quantiles then has the size that was meant, give or take a quarter."""
SEED: Final = 1
LAST_KEY: Final = "\U0010ffff" * 256
"""No key is greater: it has the 1,024 bytes that S3 allows (S3 user guide, "Naming Amazon S3 objects")."""


class Sample(msgspec.Struct, frozen=True):
    """What a part of the table's blocks shows of a bucket's keys."""

    quantiles: tuple[str, ...]
    """Keys in order, each one once, that divide the keys into parts of about equal size; fewer than asked for where the
    sample is small, none where it is empty."""
    versions: int
    """Rows in the whole table, tombstones included: exact for a small table, else an estimate."""


class Matched(msgspec.Struct, frozen=True):
    """The answer about one page."""

    is_equal: bool
    seconds: float
    """That PostgreSQL worked on it, by its own clock."""


class ObjectIndex:
    """The index, read through one connection. Every method raises StoreError if the database fails.

    Callers take turns; parallel ranges need an ObjectIndex each.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._schema = options.schema
        self._kept = KeptConnection(options, TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Close the connection."""
        await self._kept.close()

    async def pages(
        self, bucket: str, keys: KeyRange, page_rows: int = PAGE_ROWS
    ) -> AsyncGenerator[Sequence[IndexedVersion], None]:
        """All rows of a range, tombstones included, ordered by key and version id, page by page.

        A key's rows may continue on the next page. Each page shows the rows as they are when it is read.
        """
        upto = keys.upto or LAST_KEY
        page = await self._page("index_start", bucket, keys.after, upto, page_rows)
        while page:
            yield page
            if len(page) < page_rows:
                return
            last = page[-1]
            page = await self._page("index_page", bucket, last.key, last.version_id, upto, page_rows)

    async def is_empty(self, bucket: str, keys: KeyRange) -> bool:
        """Whether the index has no row in a range, not even a tombstone; one search in the primary key."""
        async with self._kept.use() as connection:
            text = statement("index_any", self._schema)
            return not await connection.fetchval(text, bucket, keys.after, keys.upto or LAST_KEY)

    async def matches(self, bucket: str, keys: KeyRange, separator: str, versions: int, digest: bytes) -> Matched:
        """Whether the index has exactly these versions in a range, in this order of each key's versions.

        Args:
            bucket: its name.
            keys: the range that the page of a listing covers.
            separator: a character that no text of the page contains.
            versions: how many the page lists.
            digest: SHA-256 of their text, as index_digest.sql defines it.
        """
        parameters = (bucket, keys.after, keys.upto or LAST_KEY, separator, versions + 1)
        async with self._kept.use() as connection:
            rows = await connection.fetch(statement("index_digest", self._schema), *parameters)
        found, found_digest, seconds = rows[0]
        # With as many versions, an index whose texts contain the separator has more of them than the page.
        return Matched(found == versions and found_digest == digest, seconds)

    async def sample(self, bucket: str, prefix: str, parts: int) -> Sample:
        """The keys that divide a prefix of a bucket into so many parts, and how many rows it has.

        It reads SAMPLE_BLOCKS blocks at random places of the table, not of the bucket: a bucket with less than a
        thousandth of a huge table has few rows in the sample. On 1,500,000 rows it took 0.1 to 0.3 s,
        0.05 s of it CPU, and the number was right within 2 %.
        """
        fractions = [number / parts for number in range(1, parts)]
        async with self._kept.use() as connection:
            table = f"{quoted(self._schema)}.object_versions"
            blocks: int = await connection.fetchval(statement("index_blocks", self._schema), table)
            percent = sample_percent(blocks)
            text = statement("index_sample", self._schema)
            rows = await connection.fetch(text, percent, SEED, bucket, prefix, fractions)
        found: int = rows[0]["versions"]
        keys: list[str] = rows[0]["keys"] or []
        return Sample(thinned(keys, found // ROWS_PER_QUANTILE), round(found * 100 / percent))

    async def _page(self, name: str, *parameters: object) -> list[IndexedVersion]:
        async with self._kept.use() as connection:
            rows = await connection.fetch(statement(name, self._schema), *parameters)
        return [IndexedVersion(*row) for row in rows]


def sample_percent(blocks: int) -> float:
    """The percentage of a table of so many blocks that makes SAMPLE_BLOCKS of them."""
    return 100.0 if blocks <= SAMPLE_BLOCKS else 100 * SAMPLE_BLOCKS / blocks


def thinned(keys: Sequence[str], parts_at_most: int) -> tuple[str, ...]:
    """Evenly chosen keys, each one once, that make no more than so many parts."""
    distinct = [*dict.fromkeys(keys)]
    wanted = min(len(distinct), max(0, parts_at_most - 1))
    return tuple(distinct[(number + 1) * (len(distinct) + 1) // (wanted + 1) - 1] for number in range(wanted))
