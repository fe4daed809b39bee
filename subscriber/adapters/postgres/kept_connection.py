"""A connection for the many small statements of one task: opened by the first, kept for the next, one at a time.

It is closed where its state is unknown, after a timeout, a cancellation or a network error; the next statement opens
another. So an error costs its caller one statement, and the caller decides whether to repeat it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.errors import StoreError

CLOSE_SECONDS = 2.0
"""For a goodbye to the server, which would otherwise log that the connection broke."""


class KeptConnection:
    """Lends its connection to one caller at a time; further callers wait.

    Args:
        options: how to connect.
        timeout_seconds: for one use, with the wait for its turn and the login.
        if_denied: advice for a missing privilege.

    Raises:
        ConfigurationError: the CA file cannot be used.
    """

    def __init__(self, options: StoreOptions, timeout_seconds: float, *, if_denied: str = "") -> None:
        self._options = msgspec.structs.replace(options, write_timeout_seconds=timeout_seconds)
        self._if_denied = if_denied
        self._settings = session_settings(self._options)
        self._tls = tls_context(options)
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Lend the connection for the block; behind a pooler the block is one transaction.

        Raises:
            StoreError: connecting or a statement failed; with RECONNECT the outcome is unknown.
        """
        try:
            async with asyncio.timeout(self._options.write_timeout_seconds), self._turn, self._lent() as connection:
                yield connection
        except DRIVER_ERRORS as error:
            ours = store_error(error)
            if self._if_denied and ours.word == "no_privilege":
                raise StoreError(ours.treatment, ours.word, ours.sqlstate, ours.detail, self._if_denied) from error
            raise ours from error

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._options, self._tls)
        connection = self._connection
        try:
            async with unit_of_work(connection, self._settings, self._options.pooler):
                yield connection
        except BaseException as error:
            if not (isinstance(error, DRIVER_ERRORS) and store_error(error).treatment.keeps_connection):
                self._connection = None
                connection.terminate()
            raise

    async def close(self) -> None:
        """Close the connection, in order if the server answers soon; a use in progress fails."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
        except DRIVER_ERRORS:
            pass  # it is dropped below
        finally:
            connection.terminate()
