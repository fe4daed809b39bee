"""Faults of the database server: stopped, restarted, read-only, disk full, out of connections, password rotated.

Server processes are started in the main thread on purpose, though that blocks the test driver for half a second: the
kernel ends them together with their parent thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.database import MAX_CONNECTIONS, ROLE, ChaosDatabase, Connection
from benchmarks.chaos.faults.tables import raising
from testkit.postgres.postgres import StopMode
from testkit.postgres.postgres_binaries import account, change_owner

SMALL_DISK = "small_disk"
_SMALL_DISK_BYTES = 192 * 1024**2
_CHUNK_BYTES = 1024**2
_TERMINATE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
_TERMINATE_SECONDS = 0.1


@asynccontextmanager
async def stopped_fast(context: RunContext) -> AsyncIterator[None]:
    """The server ends every session and is down for a while, as in a planned restart."""
    async with _stopped(context, "fast"):
        yield


@asynccontextmanager
async def stopped_immediately(context: RunContext) -> AsyncIterator[None]:
    """The server stops as in a crash and recovers from its log when it starts."""
    async with _stopped(context, "immediate"):
        yield


@asynccontextmanager
async def restarted(context: RunContext) -> AsyncIterator[None]:
    """The server restarts at once."""
    context.database.postgres.restart("fast")
    yield


@asynccontextmanager
async def backends_terminated(context: RunContext) -> AsyncIterator[None]:
    """All sessions of the daemon are terminated again and again."""

    async def terminate() -> None:
        while True:
            await context.database.execute(_TERMINATE)
            await asyncio.sleep(_TERMINATE_SECONDS + context.random.random() / 4)

    terminating = asyncio.create_task(terminate(), name="terminate backends")
    try:
        yield
    finally:
        terminating.cancel()
        await asyncio.gather(terminating, return_exceptions=True)


@asynccontextmanager
async def read_only(context: RunContext) -> AsyncIterator[None]:
    """The server rejects writes, on existing sessions too, as a demoted writer does."""
    await _set_system(context.database, "default_transaction_read_only", "on")
    try:
        if context.random.random() < 0.5:
            await context.database.execute(_TERMINATE)
        yield
    finally:
        await _set_system(context.database, "default_transaction_read_only", None)


@asynccontextmanager
async def disk_full(context: RunContext) -> AsyncIterator[None]:
    """The disk of the index is full: a small mounted disk where this machine allows it, else an error from a trigger.

    Only the index is on that disk, not the server's log: a server that cannot write its log stops altogether, which is
    another fault.
    """
    folder = small_disk_folder(context.database)
    if folder is None:
        context.note("no disk could be mounted: a trigger raised 53100")
        async with raising(context, "object_versions", "53100"):
            yield
        return
    with _filled(folder):
        yield


@asynccontextmanager
async def too_many_connections(context: RunContext) -> AsyncIterator[None]:
    """Other clients hold every connection, and the daemon's sessions are terminated."""
    others: list[Connection] = []
    try:
        await context.database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", _TERMINATE)
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            await _take_all_connections(context.database.other_clients_url, others)
        await context.database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        yield
    finally:
        for other in others:
            other.terminate()


async def _take_all_connections(url: str, taken: list[Connection]) -> None:
    """Connects until the server has too many clients; the connections reserved for superusers stay free."""
    for _ in range(MAX_CONNECTIONS):
        connection = await asyncpg.connect(url, timeout=5)
        taken.append(connection)


@asynccontextmanager
async def password_rotated(context: RunContext) -> AsyncIterator[None]:
    """The password changes, and the daemon's password file is updated only later."""
    password = f"rotated-{context.random.getrandbits(32):08x}"
    await context.database.set_password(password, in_file=False)
    await context.database.execute(_TERMINATE)
    try:
        yield
    finally:
        context.database.write_password(password)


@contextmanager
def small_disk(database: ChaosDatabase, folder: Path) -> Iterator[bool]:
    """Mounts a small disk at `folder` while the block runs; yields whether this machine allows it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES},mode=0755", "none", str(folder)]
    is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        if is_mounted:
            change_owner(folder, account())
            (folder / "index").mkdir()
            change_owner(folder / "index", account())
            database.small_disk = folder
        yield is_mounted
    finally:
        database.small_disk = None
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
        folder.rmdir()


@asynccontextmanager
async def index_on_small_disk(database: ChaosDatabase) -> AsyncIterator[None]:
    """Puts tables that the daemon creates while the block runs on the small disk, if there is one."""
    folder = small_disk_folder(database)
    if folder is None:
        yield
        return
    await database.execute(
        f"CREATE TABLESPACE {SMALL_DISK} LOCATION '{folder / 'index'}'",
        f"GRANT CREATE ON TABLESPACE {SMALL_DISK} TO {ROLE}",
        f"ALTER ROLE {ROLE} SET default_tablespace = '{SMALL_DISK}'",
    )
    try:
        yield
    finally:
        await database.execute(
            f"ALTER ROLE {ROLE} RESET default_tablespace",
            f"DROP SCHEMA IF EXISTS {database.schema} CASCADE",
            "CHECKPOINT",
            f"DROP TABLESPACE {SMALL_DISK}",
        )


def small_disk_folder(database: ChaosDatabase) -> Path | None:
    """Mount point of the small disk; None: none is mounted."""
    return database.small_disk


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Fills the disk to the last byte while the block runs."""
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * _CHUNK_BYTES):
                pass
        yield
    finally:
        filler.unlink(missing_ok=True)


@asynccontextmanager
async def _stopped(context: RunContext, mode: StopMode) -> AsyncIterator[None]:
    context.database.postgres.stop(mode)
    try:
        yield
    finally:
        context.database.postgres.start()


async def terminate_sessions(database: ChaosDatabase) -> None:
    """Terminates all sessions of the daemon once."""
    await database.execute(_TERMINATE)


async def _set_system(database: ChaosDatabase, name: str, value: str | None) -> None:
    change = f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'"
    await database.execute(change, "SELECT pg_reload_conf()")
