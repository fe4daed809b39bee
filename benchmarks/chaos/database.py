"""The database of the chaos tests: one server for many runs, an ordinary role, and one schema per run.

The daemon logs in with that role. Its password is in a file that PostgreSQL clients read for every connection, so it
can be rotated while the daemon runs. The test driver logs in as superuser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import asyncpg

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.usage import count_anew
from subscriber.features import DEFAULT_DEPTH
from subscriber.model import ObjectEvent
from testkit.checker.commit_log import Change, CommitLog
from testkit.checker.evidence import Tables, Version, version_of
from testkit.postgres.postgres import LocalPostgres

ROLE: Final = "indexer"
OTHER_ROLE: Final = "others"
MAX_CONNECTIONS: Final = 60
_FIRST_PASSWORD = "first"
_ROWS = """
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
FROM {schema}.object_versions
"""
_QUARANTINED = "SELECT message_id, body, reason FROM {schema}.quarantined_messages"
_COMMAND_TIMEOUT_SECONDS = 60.0

Connection: TypeAlias = "asyncpg.Connection[Any]"


class ChaosDatabase:
    """Made by `chaos_database`."""

    def __init__(self, postgres: LocalPostgres, password_file: Path) -> None:
        self.postgres = postgres
        self.password_file = password_file
        self.schema = ""
        """Schema of the current run."""
        self._is_prepared = False
        self.small_disk: Path | None = None
        """Mount point of the small disk while one is mounted."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A superuser session that can write even while the server defaults to read-only."""
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
        """Executes the statements one by one, each in its own transaction."""
        async with self.connected() as connection:
            for statement in statements:
                await connection.execute(statement)

    def url(self, *ports: int) -> str:
        """The daemon's URL with a host for each of these ports; the password is in `password_file`."""
        return f"postgresql://{ROLE}@{','.join(f'127.0.0.1:{port}' for port in ports)}/postgres"

    @property
    def other_clients_url(self) -> str:
        """The URL for clients other than the daemon and the test driver."""
        return f"postgresql://{OTHER_ROLE}:{_FIRST_PASSWORD}@127.0.0.1:{self.postgres.port}/postgres"

    async def set_password(self, password: str, *, in_file: bool = True) -> None:
        """Changes the role's password, and writes it to the daemon's password file if `in_file`."""
        await self.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        if in_file:
            self.write_password(password)

    def write_password(self, password: str) -> None:
        """Writes the daemon's password file; clients ignore the file if other users may read it."""
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(f"*:*:*:{ROLE}:{password}\n")

    async def prepare(self) -> None:
        """Creates the roles; a second call does nothing."""
        if self._is_prepared:
            return
        await self.execute(
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{_FIRST_PASSWORD}'",
            f"CREATE ROLE {OTHER_ROLE} LOGIN PASSWORD '{_FIRST_PASSWORD}'",
            f"GRANT CREATE ON DATABASE postgres TO {ROLE}",
        )
        self.write_password(_FIRST_PASSWORD)
        self._is_prepared = True

    async def count_usage(self) -> None:
        """Switches the counters of usage on, so that every run also tests them."""
        options = self._owners_options()
        await Features(options).enable("usage", {"depth": DEFAULT_DEPTH})
        await count_anew(options)

    async def usage_errors(self) -> list[str]:
        """Where the counters differ from a count of every row, in words."""
        found = await count_anew(self._owners_options())
        return [f"wrong_usage: {len(found)} folders, the first {found[0]}"] if found else []

    def _owners_options(self) -> StoreOptions:
        return StoreOptions(url=self.postgres.url, schema=self.schema, tls="disable", write_timeout_seconds=60.0)

    @asynccontextmanager
    async def schema_for(self, name: str) -> AsyncIterator[None]:
        """Sets the run's schema, which the daemon creates, and logs its commits; drops both afterwards."""
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
        """All commits of the run so far."""
        async with self.connected() as connection:
            return await CommitLog(connection, self.schema, self.schema).changes()

    async def tables(self) -> Tables:
        """The rows of index and quarantine."""
        async with self.connected() as connection:
            rows = [ObjectEvent(*row) for row in await connection.fetch(_ROWS.format(schema=self.schema))]
            quarantined = await connection.fetch(_QUARANTINED.format(schema=self.schema))
        by_version: dict[Version, ObjectEvent] = {version_of(row): row for row in rows}
        bodies = {row["message_id"]: row["body"] for row in quarantined}
        return Tables(by_version, bodies, {row["message_id"]: row["reason"] for row in quarantined})


@contextmanager
def chaos_database() -> Iterator[ChaosDatabase]:
    """Runs a server while the block runs; call `prepare` before use."""
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
