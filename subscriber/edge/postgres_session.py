"""A connection for one errand: made, used within a time, closed whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber.edge.postgres_connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.edge.postgres_failures import FOREIGN_ERRORS, store_error
from subscriber.edge.postgres_pooler import unit_of_work


@asynccontextmanager
async def session(options: StoreOptions, timeout_seconds: float) -> AsyncIterator[Connection]:
    """A connection of our own for `timeout_seconds`; behind a pooler what it does is one transaction.

    Raises:
        ConfigurationError: the CA file or the URL cannot be used.
        StoreError: it cannot be made, or what the block asked of it failed.
    """
    patient = msgspec.structs.replace(options, write_timeout_seconds=timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds), _connected(patient) as connection:
            async with unit_of_work(connection, session_settings(patient), patient.pooler):
                yield connection
            await connection.close()
    except FOREIGN_ERRORS as error:
        raise store_error(error) from error


@asynccontextmanager
async def _connected(options: StoreOptions) -> AsyncIterator[Connection]:
    connection = await connect(options, tls_context(options))
    try:
        yield connection
    finally:
        connection.terminate()
