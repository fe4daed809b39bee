"""Search of the index as Python functions: pages, streams, look-ups of keys, and explanations.

async with opened_search(StoreOptions(url="postgresql://analyst@host/lake")) as search:
page = await search.page(Query(bucket="lake-raw", prefix="raw/", suffix=".parquet"), at_most=100)
found = await search.look_up("lake-raw", ["raw/a", "raw/b"])
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import enabled_features
from subscriber.adapters.postgres.history import step_end
from subscriber.adapters.postgres.index_builds import index_states
from subscriber.adapters.postgres.reader import Reader
from subscriber.errors import DatabaseError, StoreError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable
from subscriber.query.explain import explanation
from subscriber.query.history import complete_since, require_known
from subscriber.query.patterns import prefix_end
from subscriber.query.search_query import Found, Looked, Query, QueryError, at
from subscriber.query.statement import look_up_statement, statement_of
from subscriber.query.token import Position, position_of, read_token, token_after

TIMEOUT_SECONDS: Final = 60.0
PAGE_ROWS: Final = 5000
"""Of one statement or batch of a stream: about 5 MB here."""
KEYS_PER_LOOK_UP: Final = 1000
_AFTER_ALL_VERSIONS: Final = "\U0010ffff"
_INVALID_REGEX: Final = "2201B"
_QUERY_CANCELED: Final = "57014"


class SearchTimeoutError(DatabaseError):
    """A search took longer than it may."""


class Page(msgspec.Struct, frozen=True):
    """Rows in the order of the query."""

    rows: tuple[Found, ...]
    token: str | None
    """For the next page; None: there is none."""


class Search:
    """Reads the index through one connection; parallel searches need one each.

    Every method raises QueryError for a query that cannot be answered, SearchTimeoutError for one that takes too long,
    and StoreError if the database fails.

    Args:
        options: how to connect; a replica will do.
        timeout_seconds: for one page, or one batch of a stream.
        clock: the time, from which ages in queries are counted.
    """

    def __init__(
        self,
        options: StoreOptions,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._schema = options.schema
        self._timeout_seconds = timeout_seconds
        self._reader = Reader(options, timeout_seconds)
        self._clock = clock
        self._has_metadata = False

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.close()

    async def page(self, query: Query, at_most: int, token: str | None = None) -> Page:
        """So many rows at most, after those of the page that gave the token.

        A token carries the moment of the first page, so ages mean the same on every page. Rows that change between two
        pages may be missed or come twice only where the change moves them in the order.
        """
        await self._require_metadata(query)
        after, asked_at = await self._begin(query, token)
        rows: list[Found] = []
        async with aclosing(self._stream(query, asked_at, after, at_most + 1)) as batches:
            async for batch in batches:
                rows += batch
        more = len(rows) > at_most
        return Page(tuple(rows[:at_most]), token_after(query, rows[at_most - 1], asked_at) if more else None)

    async def batches(
        self, query: Query, at_most: int | None = None, token: str | None = None
    ) -> AsyncGenerator[Sequence[Found], None]:
        """All rows, or so many at most, in batches: memory does not grow with their number.

        In the order of keys each batch is a statement of its own, so it shows rows as they are then and holds up no
        vacuum. In another order it is one statement, which may have to sort first.
        """
        await self._require_metadata(query)
        after, asked_at = await self._begin(query, token)
        async with aclosing(self._stream(query, asked_at, after, at_most)) as batches:
            async for batch in batches:
                yield batch

    async def look_up(self, bucket: str, keys: Sequence[str]) -> list[Looked]:
        """What exists of these keys, in their order: one search in the primary key for each."""
        found: list[Looked] = []
        with self._explained():
            for begin in range(0, len(keys), KEYS_PER_LOOK_UP):
                found += await self._look_up(bucket, keys[begin : begin + KEYS_PER_LOOK_UP])
        return found

    async def explain(self, query: Query, at_most: int | None = None, token: str | None = None) -> list[str]:
        """In words: which index PostgreSQL would use, for which conditions, and what it would check on each row."""
        await self._require_metadata(query)
        after, asked_at = await self._begin(query, token)
        if at_most is None and query.order == "key":
            at_most = PAGE_ROWS
        statement = statement_of(query, self._schema, asked_at, after, at_most)
        with self._explained():
            plan = await self._reader.plan(statement.text, statement.parameters)
            states = await index_states(self._reader, self._schema)
        ready = {state.relation for state in states if state.is_valid}
        return explanation(plan, query, statement.conditions, ready)

    async def cost(self, query: Query, at_most: int, token: str | None = None) -> float:
        """What PostgreSQL expects a page to cost, in the planner's units; nothing is searched."""
        after, asked_at = await self._begin(query, token)
        statement = statement_of(query, self._schema, asked_at, after, min(at_most + 1, PAGE_ROWS))
        with self._explained():
            return float((await self._reader.plan(statement.text, statement.parameters))["Total Cost"])

    async def _begin(self, query: Query, token: str | None) -> tuple[Position | None, datetime]:
        after, asked_at = (None, self._clock()) if token is None else read_token(token, query)
        if query.as_of is not None:
            features = await enabled_features(self._reader, self._schema)
            require_known(at(query.as_of, asked_at), complete_since(features.get("history")))
        return after, asked_at

    async def _require_metadata(self, query: Query) -> None:
        """Say that nothing is known, rather than that nothing was found."""
        if not query.where or self._has_metadata:
            return
        if "enrichment" not in await enabled_features(self._reader, self._schema):
            raise QueryError("no metadata is kept: `subscriber features enable enrichment` switches it on")
        self._has_metadata = True

    async def _look_up(self, bucket: str, keys: Sequence[str]) -> list[Looked]:
        """A key that PostgreSQL cannot hold is in no index; it is not asked for."""
        is_bucket = is_storable(bucket, MAX_BUCKET_BYTES)
        asked = [key for key in keys if is_bucket and is_storable(key, MAX_KEY_BYTES)]
        rows = await self._reader.fetch(look_up_statement(self._schema), (bucket, asked)) if asked else []
        known = {row[0]: Looked(bucket, *row) for row in rows}
        return [known.get(key) or Looked(bucket, key, exists=False) for key in keys]

    async def _stream(
        self, query: Query, asked_at: datetime, after: Position | None, at_most: int | None
    ) -> AsyncGenerator[list[Found], None]:
        if query.as_of is not None and query.order == "key" and not query.reverse:
            batches = self._steps(query, asked_at, after, at_most)
        elif query.order == "key" or (at_most is not None and at_most <= PAGE_ROWS):
            batches = self._pages(query, asked_at, after, at_most)
        else:
            batches = self._cursor(query, asked_at, after, at_most)
        with self._explained():
            async with aclosing(batches):
                async for batch in batches:
                    yield batch

    async def _pages(
        self, query: Query, asked_at: datetime, after: Position | None, at_most: int | None
    ) -> AsyncGenerator[list[Found], None]:
        left = at_most
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            statement = statement_of(query, self._schema, asked_at, after, size)
            rows = await self._reader.fetch(statement.text, statement.parameters)
            found = [Found(*row) for row in rows]
            if found:
                yield found
            if len(found) < size:
                return
            after = position_of(query, found[-1])
            left = None if left is None else left - size

    async def _steps(
        self, query: Query, asked_at: datetime, after: Position | None, at_most: int | None
    ) -> AsyncGenerator[list[Found], None]:
        """As of a moment, a range of keys at a time: what existed then has no index of its own to stop early in."""
        moment, left = at(query.as_of or asked_at, asked_at), at_most
        while left is None or left > 0:
            begin = query.prefix if after is None else f"{after.key}\x01"  # the next possible key: none has a NUL
            keys = (begin, prefix_end(query.prefix))
            last_key = await step_end(self._reader, self._schema, query.bucket, keys, moment)
            statement = statement_of(query, self._schema, asked_at, after, left, last_key)
            found = [Found(*row) for row in await self._reader.fetch(statement.text, statement.parameters)]
            if found:
                yield found
            if last_key is None:
                return
            after = Position(last_key, _AFTER_ALL_VERSIONS)
            left = None if left is None else left - len(found)

    async def _cursor(
        self, query: Query, asked_at: datetime, after: Position | None, at_most: int | None
    ) -> AsyncGenerator[list[Found], None]:
        statement = statement_of(query, self._schema, asked_at, after, at_most)
        async with aclosing(self._reader.batches(statement.text, statement.parameters, PAGE_ROWS)) as batches:
            async for batch in batches:
                yield [Found(*row) for row in batch]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what a searcher can do about a failure."""
        try:
            yield
        except StoreError as error:
            if error.sqlstate == _INVALID_REGEX:
                raise QueryError(f"PostgreSQL rejects the glob or regular expression: {error.detail}") from error
            if error.sqlstate == _QUERY_CANCELED:
                raise SearchTimeoutError(
                    f"the search took longer than {self._timeout_seconds:g} s: narrow it by a prefix, allow more "
                    "time, or see which index would help with --explain"
                ) from error
            raise


@asynccontextmanager
async def opened_search(options: StoreOptions, timeout_seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[Search]:
    """A search, closed at the end of the block."""
    search = Search(options, timeout_seconds)
    try:
        yield search
    finally:
        await search.close()
