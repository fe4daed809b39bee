"""A lock that one process of the fleet holds, as long as its session lives: the database lets go of it when it dies.

The lock belongs to a session (PostgreSQL, "Advisory Locks"), so a pooler in transaction mode, which gives each
transaction another session, cannot be in between.
"""

from __future__ import annotations

import hashlib

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.kept_connection import KeptConnection

TIMEOUT_SECONDS = 10.0


class AdvisoryLock:
    """One lock by name in a schema, on a connection of its own.

    Args:
        options: the database.
        purpose: what it is for; with the schema it makes the number of the lock.
    """

    def __init__(self, options: StoreOptions, purpose: str) -> None:
        digest = hashlib.sha256(f"subscriber {purpose} of {options.schema}".encode()).digest()
        self._number = int.from_bytes(digest[:8], "big", signed=True)
        self._kept = KeptConnection(options, TIMEOUT_SECONDS)

    async def is_ours(self) -> bool:
        """Take the lock, if it is free; whether it is ours now.

        The holder asks again and again: if its connection broke, this takes the lock on another one, unless somebody
        else has it meanwhile.

        Raises:
            StoreError: the database failed, so nobody knows.
        """
        async with self._kept.use() as connection:
            return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._number))

    async def release(self) -> None:
        """Give it back, however often it was taken; the connection is closed with it."""
        await self._kept.close()
