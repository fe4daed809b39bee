"""Builds and drops indexes of the table beside the running writers, and says what became of them.

CREATE INDEX CONCURRENTLY takes no lock that a write waits for. It waits for every transaction that is older, builds,
and waits once more. If it is interrupted, an index is left that queries ignore and writes maintain; PostgreSQL cannot
go on with it, so it is dropped and built anew (PostgreSQL, "Building Indexes Concurrently").
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions
from subscriber.adapters.postgres.failures import DRIVER_ERRORS
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.errors import ConfigurationError, StoreError

BUILD_SECONDS_AT_MOST: Final = 7 * 86_400.0
PROGRESS_SECONDS: Final = 2.0
_ASK_SECONDS: Final = 10.0
_IF_DENIED: Final = "Only the owner of the tables can create or drop their indexes: run this as that role."


class IndexState(msgspec.Struct, frozen=True):
    """An index of the table, as the database's catalog has it."""

    relation: str
    is_valid: bool
    is_building: bool
    size_bytes: int
    scans: int
    """How often queries have used it since the statistics began."""


class BuildProgress(msgspec.Struct, frozen=True):
    """How far a build is (PostgreSQL, "CREATE INDEX Progress Reporting")."""

    phase: str
    done: int
    total: int
    """Blocks of the table, or tuples; 0 where the phase has none."""
    waits_for: int | None
    """The process id of the session whose transaction must end first."""


async def index_states(reader: Reader, schema: str) -> list[IndexState]:
    """The indexes of the table, by name; anybody may read them."""
    rows = await reader.fetch(statement("index_states", ""), (schema,))
    return [IndexState(*row) for row in rows]


class IndexBuilds:
    """Creates and drops indexes, one at a time in a schema. Every method raises StoreError if the database fails.

    Args:
        options: how to connect, as the owner of the table.

    Raises:
        ConfigurationError: a transaction pooler is in between, which has no session for such a statement.
    """

    def __init__(self, options: StoreOptions) -> None:
        if options.pooler != "none":
            raise ConfigurationError(
                "an index is built outside a transaction, which a pooler in transaction mode cannot do: let "
                "SUBSCRIBER_DATABASE_URL name the database itself, without SUBSCRIBER_DATABASE_POOLER"
            )
        self._options = options

    async def create(
        self,
        relation: str,
        definition: str,
        show: Callable[[BuildProgress], None],
        *,
        extension: str = "",
        table: str = "object_versions",
    ) -> bool:
        """Build an index unless it is there; whether it was built now. What an interrupted build left is dropped first.

        Args:
            relation: its name.
            definition: what follows the name of the table; `:extension` stands for the schema of the extension.
            show: called now and then, with the progress.
            extension: of PostgreSQL, which the definition needs.
            table: whose index it is.

        Raises:
            ConfigurationError: another session builds an index of this schema, or the extension is not installed.
        """
        async with self._alone() as connection:
            state = await self._state(connection, relation)
            if state is not None and state.is_valid:
                return False
            if extension:
                definition = definition.replace(":extension", await _schema_of(connection, extension))
            if state is not None:
                _require_idle(state)
                await self._drop(connection, relation)
            text = f"CREATE INDEX CONCURRENTLY {quoted(relation)} ON {self._of_schema(table)} {definition}"
            await self._run(connection, text, show)
        return True

    async def drop(self, relation: str) -> bool:
        """Drop an index; whether there was one."""
        async with self._alone() as connection:
            if await self._state(connection, relation) is None:
                return False
            await self._drop(connection, relation)
            return True

    async def _run(self, connection: Connection, text: str, show: Callable[[BuildProgress], None]) -> None:
        """Run a statement for hours, show its progress, and let the server stop it if we are stopped."""
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            shown = tasks.create_task(self._show_progress(pid, show), name="progress of a build")
            try:
                await connection.execute(text)
            except DRIVER_ERRORS as error:  # raised below, outside the group
                failure = error
            except asyncio.CancelledError:
                await self._cancel(pid)
                raise
            finally:
                shown.cancel()
        if failure is not None:
            raise failure

    async def _cancel(self, pid: int) -> None:
        """A server does not notice that its client is gone, and would build on."""
        with suppress(StoreError):
            async with session(self._options, _ASK_SECONDS) as connection:
                await connection.execute(f"SELECT pg_cancel_backend({pid})")

    async def _drop(self, connection: Connection, relation: str) -> None:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self._of_schema(relation)}")

    async def _state(self, connection: Connection, relation: str) -> IndexState | None:
        rows = await connection.fetch(statement("index_states", ""), self._options.schema)
        return next((IndexState(*row) for row in rows if row[0] == relation), None)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection]:
        """A connection that alone may build indexes of the schema; the lock ends with it.

        A build waits for whoever holds an older snapshot, so two builds could wait for each other.
        """
        number = hashlib.sha256(f"subscriber indexes of {self._options.schema}".encode()).digest()[:8]
        async with session(self._options, BUILD_SECONDS_AT_MOST, if_denied=_IF_DENIED) as connection:
            lock = int.from_bytes(number, "big", signed=True)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
                raise ConfigurationError(
                    "another session builds or drops an index of this schema: wait for it, or see `subscriber indexes "
                    "list`"
                )
            yield connection

    async def _show_progress(self, pid: int, show: Callable[[BuildProgress], None]) -> None:
        """Ask again and again, on another connection; a build does not depend on it."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            with suppress(StoreError):
                async with session(self._options, _ASK_SECONDS) as connection:
                    rows = await connection.fetch(statement("index_progress", ""), pid)
                for row in rows:
                    show(BuildProgress(*row))

    def _of_schema(self, name: str) -> str:
        return f"{quoted(self._options.schema)}.{quoted(name)}"


def _require_idle(state: IndexState) -> None:
    if state.is_building:
        raise ConfigurationError(f"another session builds {state.relation} just now: wait for it, or end it")


async def _schema_of(connection: Connection, extension: str) -> str:
    """The quoted schema of an extension, which need not be on the search path.

    Raises:
        ConfigurationError: it is not installed.
    """
    text = (
        "SELECT nspname::text FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = $1"
    )
    found = await connection.fetchval(text, extension)
    if found is None:
        raise ConfigurationError(
            f"the index needs the extension {extension}: let an administrator run CREATE EXTENSION {extension} first"
        )
    return quoted(found)
