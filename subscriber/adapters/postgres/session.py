"""A connection for one task: opened, used within a timeout and always closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber.adapters.postgres.connection import Connection, StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.granted import require_granted
from subscriber.adapters.postgres.pooler import unit_of_work
from subscriber.errors import StoreError


@asynccontextmanager
async def session(options: StoreOptions, timeout_seconds: float, *, if_denied: str = "") -> AsyncIterator[Connection]:
    """Open a connection for the block; behind a pooler the block is one transaction.

    Args:
        options: how to connect.
        timeout_seconds: for connecting and the block together.
        if_denied: advice for a missing privilege, if the task is not for the writer's role.

    Raises:
        ConfigurationError: the CA file or the URL cannot be used.
        StoreError: connecting, or a statement of the block, failed.
    """
    own = msgspec.structs.replace(options, write_timeout_seconds=timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds), _connected(own) as connection:
            async with _with_settings(connection, own):
                yield connection
            await connection.close()
    except DRIVER_ERRORS as error:
        ours = store_error(error)
        if if_denied and ours.word == "no_privilege":
            raise StoreError(ours.treatment, ours.word, ours.sqlstate, ours.detail, if_denied) from error
        raise ours from error


@asynccontextmanager
async def _with_settings(connection: Connection, options: StoreOptions) -> AsyncIterator[None]:
    settings = session_settings(options)
    async with unit_of_work(connection, settings, options.pooler):
        if options.pooler == "transaction":  # without one, the login has compared them
            await require_granted(connection, settings)
        yield


@asynccontextmanager
async def _connected(options: StoreOptions) -> AsyncIterator[Connection]:
    connection = await connect(options, tls_context(options))
    try:
        yield connection
    finally:
        connection.terminate()
