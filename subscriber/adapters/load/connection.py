"""The one small connection of a sensor that asks the database itself."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.adapters.postgres.statements import statement
from subscriber.errors import SensorError, StoreError

STATEMENT_SECONDS = 5.0
"""A look at the statistics takes a millisecond; a database that needs seconds for it is busy beyond any percentage."""
APPLICATION_NAME = "subscriber-load"
"""So that pg_stat_activity tells the sensor from the writers."""


class StatementError(SensorError):
    """A statement failed; `sqlstate` is the server's word, where it gave one."""

    def __init__(self, failure: StoreError) -> None:
        self.sqlstate = failure.sqlstate
        super().__init__(str(failure))


@functools.cache
def _statement(name: str) -> str:
    return statement(name, "")  # they look at the server's catalog, not at a schema of ours


class LoadConnection:
    """Made when it is first needed, dropped by any failure and made anew by the next call. Not for several at once."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = msgspec.structs.replace(
            options, write_timeout_seconds=STATEMENT_SECONDS, application_name=APPLICATION_NAME
        )
        self._tls: ssl.SSLContext | None = None
        self._connection: Connection | None = None

    async def rows(self, name: str) -> Sequence[asyncpg.Record]:
        """What the statement in the file `name`.sql gives.

        Raises:
            StatementError: nothing, or not in time.
            ConfigurationError: the CA file or the URL cannot be used; the start of the daemon has said so before.
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
            self._drop()  # cancelled: nobody knows what the connection is in the middle of
            raise

    async def value(self, name: str) -> Any:
        """The first value of the first row of the same."""
        return (await self.rows(name))[0][0]

    async def close(self) -> None:
        """Say goodbye, for a second at most."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):  # who does not answer is dropped
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
