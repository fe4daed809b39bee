"""Runs statements that only read, on the writer or on a replica: one at a time, or as a stream of rows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions, connect, session_settings, tls_context
from subscriber.adapters.postgres.failures import DRIVER_ERRORS, store_error
from subscriber.adapters.postgres.kept_connection import KeptConnection
from subscriber.adapters.postgres.pooler import local_settings
from subscriber.errors import StoreError

Row: TypeAlias = tuple[Any, ...]

_IF_DENIED: Final = "The user may not read the index: run config/sql/grants.sql, and GRANT it the role of the readers."


class Reader:
    """Statements and their rows. Every method raises StoreError if the database fails.

    Callers take turns; parallel ones need a Reader each.

    Args:
        options: how to connect.
        timeout_seconds: for one statement, or one batch of a stream.
    """

    def __init__(self, options: StoreOptions, timeout_seconds: float) -> None:
        self._options = msgspec.structs.replace(options, reads_only=True, write_timeout_seconds=timeout_seconds)
        self._kept = KeptConnection(self._options, timeout_seconds, if_denied=_IF_DENIED)

    async def close(self) -> None:
        """Close the connection."""
        await self._kept.close()

    async def fetch(self, text: str, parameters: Sequence[object]) -> list[Row]:
        """All rows of a statement."""
        async with self._kept.use() as connection:
            return [tuple(row) for row in await connection.fetch(text, *parameters)]

    async def plan(self, text: str, parameters: Sequence[object]) -> dict[str, Any]:
        """The plan of a statement, which is not executed (PostgreSQL, "EXPLAIN": FORMAT JSON)."""
        async with self._kept.use() as connection:
            plans = msgspec.json.decode(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {text}", *parameters))
        plan: dict[str, Any] = plans[0]["Plan"]
        return plan

    async def batches(self, text: str, parameters: Sequence[object], rows: int) -> AsyncGenerator[list[Row], None]:
        """The rows of a statement, so many at a time, on a connection of their own.

        The server computes on as the caller takes: memory stays bounded on both sides. The statement sees the table as
        it was at the first batch, so vacuum spares what was deleted since, until the stream ends.
        """
        try:
            async with aclosing(self._batches(text, parameters, rows)) as batches:
                async for batch in batches:
                    yield batch
        except DRIVER_ERRORS as error:
            ours = store_error(error)
            if ours.word == "no_privilege":
                raise StoreError(ours.treatment, ours.word, ours.sqlstate, ours.detail, _IF_DENIED) from error
            raise ours from error

    async def _batches(self, text: str, parameters: Sequence[object], rows: int) -> AsyncGenerator[list[Row], None]:
        connection = await connect(self._options, tls_context(self._options))
        try:
            async with connection.transaction(readonly=True):
                if self._options.pooler != "none":
                    await connection.execute(local_settings(session_settings(self._options)))
                cursor = await connection.cursor(text, *parameters)
                while batch := await cursor.fetch(rows):
                    yield [tuple(row) for row in batch]
            await connection.close()
        finally:
            connection.terminate()
