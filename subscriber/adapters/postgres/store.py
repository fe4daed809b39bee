"""Writes the object index: concurrent writers, one statement and one transaction each.

`store` and `quarantine` take a connection, run one statement, which commits by itself, and return the connection. The
most recently returned connection is reused first, so that few are open under low load. This is deliberately not a
general pool: nothing resets, tests or replaces connections in the background, and every failure reaches the caller as
a StoreError with its treatment.

A connection is reused only if the server has reported the outcome of the statement. After a timeout, a cancellation or
a network error the outcome is unknown: the connection is closed and the statement counts as not done, which is safe
because the upsert is idempotent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from subscriber.adapters.postgres.columns import upsert_parameters, version_parameters
from subscriber.adapters.postgres.connection import (
    CONNECT_SECONDS,
    Connection,
    StoreOptions,
    connect,
    session_settings,
    tls_context,
)
from subscriber.adapters.postgres.copy_text import COLUMNS, copy_text
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, ReadOnlySettingError, StandbyError, store_error
from subscriber.adapters.postgres.granted import require_granted
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.adapters.postgres.rehearsal import rolled_back
from subscriber.adapters.postgres.statements import statement
from subscriber.buckets import BucketTally
from subscriber.errors import StoreError, Treatment
from subscriber.model import Message, ObjectEvent, RankedVersion, Rejection

PING_SECONDS = 2.5
"""Short, because a ping can hang on a network path that has recovered meanwhile: the next ping succeeds. It bounds the
statement of a ping, and the first login of an outage; each further login may take twice as long, up to what a write
allows (CONNECT_SECONDS), so that the probe gets into a database whose logins are slow."""

NOTE_SECONDS = 2.0
"""For a statement on the table of buckets, which takes a millisecond unless somebody has locked the table."""

_TABLE = "object_versions"
_UNIQUE_VIOLATION = "23505"
_IF_UNNOTED = "For the table of buckets, run config/sql/grants.sql again."


def ping_login_seconds(logins_timed_out: int) -> float:
    """How long a ping may take to log in after so many logins of pings that took too long."""
    return min(CONNECT_SECONDS, PING_SECONDS * (1 << min(logins_timed_out, 10)))


class PostgresStore:
    """Writes rows and quarantined messages, at most `connections_max` at once; further calls wait in order.

    Raises:
        ConfigurationError: the CA file cannot be used.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._settings = session_settings(options)
        self._upsert = statement("upsert", options.schema)
        self._add_missing = statement("add_missing", options.schema)
        self._quarantine = statement("quarantine", options.schema)
        self._locked_rows = statement("locked_rows", options.schema)
        self._note_buckets = statement("buckets_note", options.schema)
        self._bucket_ages = statement("buckets_ages", options.schema)
        self._tls = tls_context(options)
        self._slots = asyncio.Semaphore(options.connections_max)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._noting_turn = asyncio.Lock()
        self._closed = False
        self._logins_timed_out = 0
        """In a row."""

    async def open(self) -> None:
        """Open the first connection, so that a wrong URL or password fails the start; a slow login is not cut short.

        Raises:
            StoreError: the database cannot be reached or used.
        """
        await self._ping(CONNECT_SECONDS, self._options.write_timeout_seconds)

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert rows durably within the write timeout; return how many were newer than the stored ones.

        Args:
            rows: at most one per object version.
            limit_seconds: after which the server ends the statement (57014), where that is sooner.

        Raises:
            StoreError: nothing was stored; with RECONNECT the outcome is unknown.
        """
        if not rows:
            return 0
        parameters = upsert_parameters(rows)
        async with self._connection() as connection, self._limited(connection, limit_seconds):
            status = await connection.execute(self._upsert, *parameters)
        return _row_count(status)

    async def locked_rows(self, rows: Sequence[ObjectEvent], limit_seconds: float) -> frozenset[tuple[str, str, str]]:
        """Which of the stored rows another session keeps locked: bucket, key and version id of each.

        Rows that another session has inserted and not committed cannot be seen.

        Args:
            rows: the events of the versions that are asked about.
            limit_seconds: after which the server ends the statement (57014).

        Raises:
            StoreError: there is no answer.
        """
        parameters = version_parameters(rows)
        async with self._connection() as connection, self._limited(connection, limit_seconds):
            found = await connection.fetch(self._locked_rows, *parameters)
        return frozenset((record[0], record[1], record[2]) for record in found)

    async def add_missing(self, rows: Sequence[ObjectEvent]) -> int:
        """Add rows whose versions the index does not have, and fill in sizes and ETags that it lacks; replace nothing.

        Args:
            rows: at most one per object version.

        Returns:
            How many rows were added or filled in.

        Raises:
            StoreError: nothing was stored; with RECONNECT the outcome is unknown.
        """
        if not rows:
            return 0
        parameters = upsert_parameters(rows)
        async with self._connection() as connection:
            return _row_count(await connection.execute(self._add_missing, *parameters))

    async def add_listed(self, bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bool:
        """Add one row for each version by COPY; False: the table has one of them, or a text needs the upsert.

        It takes the server about half of the CPU time of the upsert (docs/explanation/performance.md).

        Args:
            bucket: of all of them.
            versions: with their sequencers, in the order of key and version id, so that writers do not deadlock.
            event_name: of all of them.

        Raises:
            StoreError: nothing was stored; with RECONNECT the outcome is unknown.
        """
        text = copy_text(bucket, versions, event_name)
        if text is None:
            return False
        try:
            async with self._connection() as connection:
                schema, source = self._options.schema, _once(text)  # asyncpg would take bytes for a path
                await connection.copy_to_table(
                    _TABLE, schema_name=schema, columns=COLUMNS, source=source, format="text"
                )
        except StoreError as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            return False
        return True

    async def rehearse(self, row: ObjectEvent) -> None:
        """Upsert `row` with all that belongs to it (rights, constraints, triggers), and roll it back.

        The statement has a second: it waits no longer for a lock.

        Raises:
            StoreError: the database does not accept it.
        """
        parameters = upsert_parameters([row])
        async with self._connection() as connection, rolled_back(connection):
            await connection.execute(self._upsert, *parameters)

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Store messages that cannot become rows durably; then they may be deleted from the queue.

        Raises:
            StoreError: nothing was stored; with RECONNECT the outcome is unknown.
        """
        if not entries:
            return
        # SQS may deliver a message twice within one batch, but ON CONFLICT accepts a row only once.
        by_count = sorted(entries, key=lambda entry: entry[0].receive_count)
        latest = {(message.queue, message.message_id): (message, rejection) for message, rejection in by_count}
        columns = zip(*(_quarantine_row(*entry) for entry in latest.values()), strict=True)
        async with self._connection() as connection:
            await connection.execute(self._quarantine, *columns)

    async def note_buckets(self, tallies: Mapping[str, BucketTally]) -> None:
        """Add to the table of buckets what was stored of each.

        Raises:
            StoreError: nothing was added; with RECONNECT the outcome is unknown.
        """
        if not tallies:
            return
        now = asyncio.get_running_loop().time()
        rows = [(t.rows, t.oldest, t.youngest, now - t.first_at, now - t.last_at) for t in tallies.values()]
        async with self.noting() as connection:
            await connection.execute(self._note_buckets, [*tallies], *zip(*rows, strict=True))

    async def youngest_event_ages(self, buckets: Sequence[str]) -> dict[str, float]:
        """How many seconds ago the youngest event of each of these buckets happened; without names, `all` of them.

        Buckets without a noted event are left out.

        Raises:
            StoreError: there is no answer.
        """
        async with self.noting() as connection:
            rows = await connection.fetch(self._bucket_ages, [*buckets] or None)
        return {row["label"]: row["age_seconds"] for row in rows}

    @asynccontextmanager
    async def noting(self) -> AsyncIterator[Connection]:
        """A connection for the table of buckets, for which an older set of grants is not enough.

        One at a time, because the batches may need all others. The server ends a statement that waits, so that the
        outcome is known and no connection is given up for it.
        """
        try:
            async with (
                self._noting_turn,
                self._connection() as connection,
                self._limited(connection, NOTE_SECONDS),
            ):
                yield connection
        except StoreError as error:
            if error.word != "no_privilege":
                raise
            raise StoreError(error.treatment, error.word, error.sqlstate, error.detail, _IF_UNNOTED) from error

    async def ping(self) -> None:
        """Check that the database answers soon and accepts writes; a login has a limit of its own.

        Raises:
            StoreError: it does not.
        """
        await self._ping(ping_login_seconds(self._logins_timed_out), PING_SECONDS)

    async def _ping(self, login_seconds: float, statement_seconds: float) -> None:
        async with self._connection(login_seconds, login_seconds + statement_seconds, statement_seconds) as connection:
            row = await connection.fetchrow(
                "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()"
            )
            if row is not None and row[0]:
                # An error like that of a write; the connection is then dropped as after such a write.
                raise StandbyError("the server is in recovery") if row[1] else ReadOnlySettingError("read-only session")
            if self._options.pooler == "transaction":  # without one, the login has compared them
                await require_granted(connection, self._settings)

    async def close(self, timeout: float = 5.0) -> None:
        """Close all connections within `timeout` seconds; writes in progress fail with RECONNECT."""
        self._closed = True
        for connection in self._busy:
            connection.terminate()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(connection.close() for connection in self._idle))
        except DRIVER_ERRORS:
            pass  # connections that did not close in time are dropped below
        finally:
            self._drop_idle()

    @asynccontextmanager
    async def _limited(self, connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
        """Around one statement, which the server ends after `limit_seconds`, where that is sooner than usual."""
        if limit_seconds >= self._options.write_timeout_seconds:
            yield
            return
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {max(1, round(limit_seconds * 1000))}")
            yield

    @asynccontextmanager
    async def _connection(
        self,
        login_seconds: float | None = None,
        total_seconds: float | None = None,
        statement_seconds: float = math.inf,
    ) -> AsyncIterator[Connection]:
        """A connection for one statement; an exception in the block decides on its reuse.

        The defaults are those of a write, whose timeout includes the login.
        """
        if self._closed:
            raise RuntimeError("the store is closed")
        total = total_seconds or self._options.write_timeout_seconds
        try:
            async with (
                asyncio.timeout(total),
                self._slots,
                self._held(login_seconds) as connection,
                asyncio.timeout(min(statement_seconds, total)),
                unit_of_work(connection, self._settings, self._options.pooler),
            ):
                yield connection
        except DRIVER_ERRORS as error:
            raise store_error(error, self._options.schema) from error

    @asynccontextmanager
    async def _held(self, login_seconds: float | None) -> AsyncIterator[Connection]:
        connection = self._take_idle() or await self._connect(login_seconds)
        self._busy.add(connection)
        try:
            yield connection
        except BaseException as error:
            self._return_after(connection, error)
            raise
        self._return(connection)

    async def _connect(self, login_seconds: float | None) -> Connection:
        try:
            connection = await connect(self._options, self._tls, login_seconds)
        except BaseException as error:
            # Cancelled: by the timeout around us.
            self._logins_timed_out += not isinstance(error, Exception) or getattr(error, "word", "") == "timeout"
            raise
        self._logins_timed_out = 0
        return connection

    def _take_idle(self) -> Connection | None:
        """The most recently returned connection that is not closed."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _return(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if self._closed or connection.is_closed():
            connection.terminate()
        else:
            self._idle.append(connection)

    def _return_after(self, connection: Connection, error: BaseException) -> None:
        """Reuse the connection, drop it, or drop the idle ones too: they lead to the same failed host."""
        treatment = store_error(error).treatment if isinstance(error, DRIVER_ERRORS) else None
        if treatment is not None and treatment.keeps_connection:
            self._return(connection)
            return
        self._busy.discard(connection)
        connection.terminate()
        if treatment is Treatment.RECONNECT:
            self._drop_idle()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()


def _quarantine_row(message: Message, rejection: Rejection) -> tuple[str, str, str, str, bytes, int]:
    """The columns of quarantine.sql. The body is stored unmodified; the texts about it are made storable."""
    return (
        message.queue,
        message.message_id,
        _storable(rejection.reason),
        _storable(rejection.detail),
        message.body.encode("utf-8", "surrogatepass"),
        message.receive_count,
    )


def _storable(text: str) -> str:
    """Escape what PostgreSQL's text type cannot store: NUL and lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _row_count(status: str) -> int:
    """The number of rows in a command tag such as "INSERT 0 5"."""
    return int(status.rpartition(" ")[2])


@asynccontextmanager
async def opened_store(options: StoreOptions) -> AsyncIterator[PostgresStore]:
    """A store that is closed at the end of the block."""
    store = PostgresStore(options)
    try:
        yield store
    finally:
        await store.close()
