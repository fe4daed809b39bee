"""The one connection of a sensor that queries the database itself."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.adapters.postgres.statements import statement
from subscriber.adapters.postgres.tls import Tls
from subscriber.errors import SensorError, StoreError

STATEMENT_SECONDS = 5.0
"""A query of the statistics takes a millisecond; a database that needs seconds for it is overloaded anyway."""
APPLICATION_NAME = "subscriber-load"
"""Distinguishes the sensor from the writers in pg_stat_activity."""


class StatementError(SensorError):
    """A statement failed; `sqlstate` is the server's, if it sent one."""

    def __init__(self, failure: StoreError) -> None:
        self.sqlstate = failure.sqlstate
        super().__init__(str(failure))


@functools.cache
def _statement(name: str) -> str:
    return statement(name, "")  # they query the system catalog, not a schema of ours


class LoadConnection:
    """Opened at the first call, dropped at any failure and opened again by the next call. Not for concurrent calls."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = msgspec.structs.replace(
            options, write_timeout_seconds=STATEMENT_SECONDS, application_name=APPLICATION_NAME
        )
        self._tls: Tls | None = None
        self._connection: Connection | None = None

    async def rows(self, name: str) -> Sequence[asyncpg.Record]:
        """The rows of the statement in the file `name`.sql.

        Raises:
            StatementError: it failed, or did not end in time.
            ConfigurationError: the CA file or the URL is invalid; the start of the daemon reports that first.
        """
        try:
            async with asyncio.timeout(2 * STATEMENT_SECONDS):
                connection = await self._connected()
                async with unit_of_work(connection, session_settings(self._options), self._options.pooler):
                    return await connection.fetch(_statement(name))
        except DRIVER_ERRORS as error:
            self._drop()
            raise StatementError(store_error(error)) from error
        except StoreError as error:
            raise StatementError(error) from error
        except BaseException:
            self._drop()  # cancelled: the state of the connection is unknown
            raise

    async def value(self, name: str) -> Any:
        """The first value of the first row of the same."""
        return (await self.rows(name))[0][0]

    async def close(self) -> None:
        """Close the connection within a second."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):  # a server that does not answer is dropped
                await connection.close(timeout=1.0)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._tls = self._tls or await asyncio.to_thread(tls_context, self._options)
            self._connection = await connect(self._options, self._tls)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
