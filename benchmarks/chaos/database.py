"""The database of the chaos: one server for many runs, a role that is nobody special, and a schema for each run.

The daemon comes as that role, with its password in a file that PostgreSQL's clients read for every connection, so that
it can be rotated while the daemon runs. The driver comes as the superuser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import asyncpg

from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, CommitLog
from testkit.checker.evidence import Tables, Version, version_of
from testkit.postgres.postgres import LocalPostgres

ROLE: Final = "indexer"
OTHERS: Final = "others"
MAX_CONNECTIONS: Final = 60
_FIRST_PASSWORD = "first"
_ROWS = """
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
FROM {schema}.object_versions
"""
_QUARANTINED = "SELECT message_id, body FROM {schema}.quarantined_messages"
_COMMAND_TIMEOUT_SECONDS = 60.0

Connection: TypeAlias = "asyncpg.Connection[Any]"


class ChaosDatabase:
    """Made by `chaos_database`."""

    def __init__(self, postgres: LocalPostgres, password_file: Path) -> None:
        self.postgres = postgres
        self.password_file = password_file
        self.schema = ""
        """Of the run that is on."""
        self._is_prepared = False
        self.small_disk: Path | None = None
        """Where a disk of little room is mounted, while one is."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A superuser's session, which may write whatever the server's defaults are just now."""
        connection = await asyncpg.connect(
            self.postgres.url,
            timeout=10,
            command_timeout=_COMMAND_TIMEOUT_SECONDS,
            server_settings={"default_transaction_read_only": "off", "timezone": "UTC", "lock_timeout": "0"},
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def execute(self, *statements: str) -> None:
        """One after the other, each by itself."""
        async with self.connected() as connection:
            for statement in statements:
                await connection.execute(statement)

    def url(self, port: int) -> str:
        """Where the daemon finds it, at this port; the password is in `password_file`."""
        return f"postgresql://{ROLE}@127.0.0.1:{port}/postgres"

    @property
    def url_of_others(self) -> str:
        """Where those find it who are neither daemon nor driver."""
        return f"postgresql://{OTHERS}:{_FIRST_PASSWORD}@127.0.0.1:{self.postgres.port}/postgres"

    async def set_password(self, password: str, *, in_file: bool = True) -> None:
        """Give the role another password, and tell the daemon or not."""
        await self.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        if in_file:
            self.write_password(password)

    def write_password(self, password: str) -> None:
        """Tell the daemon a password; clients take the file only if nobody else may read it."""
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(f"*:*:*:{ROLE}:{password}\n")

    async def prepare(self) -> None:
        """The role; a second time does nothing."""
        if self._is_prepared:
            return
        await self.execute(
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{_FIRST_PASSWORD}'",
            f"CREATE ROLE {OTHERS} LOGIN PASSWORD '{_FIRST_PASSWORD}'",
            f"GRANT CREATE ON DATABASE postgres TO {ROLE}",
        )
        self.write_password(_FIRST_PASSWORD)
        self._is_prepared = True

    @asynccontextmanager
    async def schema_for(self, name: str) -> AsyncIterator[None]:
        """A run's schema, which the daemon will make, and the log of its commits; both gone afterwards."""
        self.schema = name
        async with self.connected() as connection:
            await CommitLog(connection, name, name).begin()
        try:
            yield
        finally:
            await self.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            async with self.connected() as connection:
                await CommitLog(connection, name, name).end()

    async def changes(self) -> list[Change]:
        """Every commit of the run so far."""
        async with self.connected() as connection:
            return await CommitLog(connection, self.schema, self.schema).changes()

    async def tables(self) -> Tables:
        """What is there."""
        async with self.connected() as connection:
            rows = [ObjectEvent(*row) for row in await connection.fetch(_ROWS.format(schema=self.schema))]
            quarantined = await connection.fetch(_QUARANTINED.format(schema=self.schema))
        by_version: dict[Version, ObjectEvent] = {version_of(row): row for row in rows}
        return Tables(by_version, {row["message_id"]: row["body"] for row in quarantined})


@contextmanager
def chaos_database() -> Iterator[ChaosDatabase]:
    """A server while the block runs; call `prepare` once."""
    settings = {
        "max_connections": str(MAX_CONNECTIONS),
        "deadlock_timeout": "50ms",
        "max_wal_size": "256MB",
        "autovacuum_naptime": "5s",
    }
    with (
        TemporaryDirectory(prefix="chaos-") as folder,
        LocalPostgres(durable=False, logical=True, settings=settings) as postgres,
    ):
        yield ChaosDatabase(postgres, Path(folder) / "pgpass")
