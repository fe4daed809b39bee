"""Tries the daemon's writes on a connection and rolls them back: what rights and settings alone do not tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.adapters.postgres.columns import upsert_parameters
from subscriber.adapters.postgres.connection import Connection
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.statements import statement
from subscriber.model import ObjectEvent

STATEMENT_SECONDS = 1.0
"""A statement on one row takes a millisecond; one that waits for a lock is not worth more."""


@asynccontextmanager
async def rolled_back(connection: Connection) -> AsyncIterator[None]:
    """Around writes that leave nothing: all deferred constraints are checked, then the transaction is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)}")
        yield
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def rehearse_writes(connection: Connection, schema: str, older: ObjectEvent, newer: ObjectEvent) -> None:
    """Insert and update a row, and insert a quarantined message, with all triggers and policies; then roll back.

    Raises:
        StoreError: the database does not accept one of them.
    """
    try:
        async with rolled_back(connection):
            for row in (older, newer):
                await connection.execute(statement("upsert", schema), *upsert_parameters([row]))
            texts = ("subscriber", older.key, "rehearsal", "")
            columns = (*([text] for text in texts), [b""], [1])
            await connection.execute(statement("quarantine", schema), *columns)
    except DRIVER_ERRORS as error:
        raise store_error(error, schema) from error
