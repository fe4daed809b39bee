"""The object index: many writers, one statement and one transaction each.

A call of `store` or `quarantine` takes a connection, runs one statement, which commits by itself, and gives the
connection back; the last one given back is the first taken, so that in quiet times few are in use. There is no
pool behind this: nothing resets, tests or replaces connections on its own, and whatever goes wrong goes to the
caller as a StoreError that says what to do.

A connection is used again only if the server itself said what became of the statement. After a timeout, a
cancellation or a broken wire nobody knows: it is closed, and "not done" is assumed, which the upsert forgives.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from subscriber.adapters.postgres.columns import upsert_parameters
from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, REUSABLE, store_error
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.adapters.postgres.statements import statement
from subscriber.errors import Treatment
from subscriber.model import Message, ObjectEvent, Rejection

PING_SECONDS = 2.5
"""A ping that hangs in a network which is silent no more would hold up everybody: the next one finds it answering."""


class PostgresStore:
    """Writes rows and quarantined messages; at most `connections_max` at once, the rest wait in order.

    Raises:
        ConfigurationError: the CA file cannot be used.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._settings = session_settings(options)
        self._upsert = statement("upsert", options.schema)
        self._quarantine = statement("quarantine", options.schema)
        self._tls = tls_context(options)
        self._places = asyncio.Semaphore(options.connections_max)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False

    async def open(self) -> None:
        """Make the first connection, so that a wrong URL or password shows at the start, however long a login takes.

        Raises:
            StoreError: the database cannot be reached or used.
        """
        await self.ping(math.inf)

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Upsert rows; return how many were newer than what was there. When it returns they are durable.

        The rows name each object version once. It ends within the write timeout.

        Raises:
            StoreError: nothing was stored; or, for RECONNECT, nobody knows.
        """
        if not rows:
            return 0
        parameters = upsert_parameters(rows)
        async with self._connection() as connection:
            status = await connection.execute(self._upsert, *parameters)
        return _row_count(status)

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Keep messages that cannot become rows; when it returns they are durable and may be deleted.

        Raises:
            StoreError: nothing was kept; or, for RECONNECT, nobody knows.
        """
        if not entries:
            return
        # A queue may deliver a message twice within one batch; a statement may name a row once.
        by_count = sorted(entries, key=lambda entry: entry[0].receive_count)
        latest = {(message.queue, message.message_id): (message, rejection) for message, rejection in by_count}
        columns = zip(*(_quarantine_row(*entry) for entry in latest.values()), strict=True)
        async with self._connection() as connection:
            await connection.execute(self._quarantine, *columns)

    async def ping(self, seconds_at_most: float = PING_SECONDS) -> None:
        """See whether the database answers, within a moment, and takes writes.

        Raises:
            StoreError: it does not.
        """
        async with self._connection(seconds_at_most) as connection:
            if await connection.fetchval("SELECT current_setting('transaction_read_only')") == "on":
                # As the server would say it to the first write; the connection goes the way of such a write's.
                raise asyncpg.ReadOnlySQLTransactionError("the session is read-only")

    async def close(self, timeout: float = 5.0) -> None:
        """Say goodbye to the server, at most `timeout` seconds long; writes under way fail with RECONNECT."""
        self._closed = True
        for connection in self._busy:
            connection.terminate()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(connection.close() for connection in self._idle))
        except DRIVER_ERRORS:
            pass  # who did not answer in time is dropped
        finally:
            self._drop_idle()

    @asynccontextmanager
    async def _connection(self, seconds_at_most: float = math.inf) -> AsyncIterator[Connection]:
        """A connection for one statement, within the write timeout. What the block raises decides its fate."""
        if self._closed:
            raise RuntimeError("the store is closed")
        try:
            async with (
                asyncio.timeout(min(seconds_at_most, self._options.write_timeout_seconds)),
                self._places,
                self._held() as connection,
                unit_of_work(connection, self._settings, self._options.pooler),
            ):
                yield connection
        except DRIVER_ERRORS as error:
            raise store_error(error) from error

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Connection]:
        connection = self._take_idle() or await connect(self._options, self._tls)
        self._busy.add(connection)
        try:
            yield connection
        except BaseException as error:
            self._give_back_after(connection, error)
            raise
        self._give_back(connection)

    def _take_idle(self) -> Connection | None:
        """The connection last given back, if its end has not been noticed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if self._closed or connection.is_closed():
            connection.terminate()
        else:
            self._idle.append(connection)

    def _give_back_after(self, connection: Connection, error: BaseException) -> None:
        """Keep the connection, drop it, or drop the idle ones with it: they lead to where this one led."""
        treatment = store_error(error).treatment if isinstance(error, DRIVER_ERRORS) else None
        if treatment in REUSABLE:
            self._give_back(connection)
            return
        self._busy.discard(connection)
        connection.terminate()
        if treatment is Treatment.RECONNECT:
            self._drop_idle()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()


def _quarantine_row(message: Message, rejection: Rejection) -> tuple[str, str, str, str, bytes, int]:
    """The columns of quarantine.sql. Only the body is kept as it is; words about it are made storable."""
    return (
        message.queue,
        message.message_id,
        _storable(rejection.reason),
        _storable(rejection.detail),
        message.body.encode("utf-8", "surrogatepass"),
        message.receive_count,
    )


def _storable(text: str) -> str:
    """Without what PostgreSQL's text cannot hold: NUL, and surrogates that stand alone."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _row_count(status: str) -> int:
    """How many rows a command tag ("INSERT 0 5") speaks of."""
    return int(status.rpartition(" ")[2])
