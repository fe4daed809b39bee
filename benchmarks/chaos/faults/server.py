"""Faults of the database's server: gone, restarted, read-only, full, or strange to those who come.

Server processes are started in the main thread on purpose, though it blocks the driver for half a second: the kernel
ends them with the thread that made them.
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
from testkit.postgres.postgres_binaries import account, give

SMALL_DISK = "small_disk"
_SMALL_DISK_BYTES = 192 * 1024**2
_CHUNK_BYTES = 1024**2
_TERMINATE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"
_TERMINATE_SECONDS = 0.1


@asynccontextmanager
async def stopped_fast(scene: RunContext) -> AsyncIterator[None]:
    """The server ends every session and is away for a while, as at a planned restart."""
    async with _stopped(scene, "fast"):
        yield


@asynccontextmanager
async def stopped_immediately(scene: RunContext) -> AsyncIterator[None]:
    """The server falls down as in a crash, and recovers from its log when it is started."""
    async with _stopped(scene, "immediate"):
        yield


@asynccontextmanager
async def restarted(scene: RunContext) -> AsyncIterator[None]:
    """Down and up again at once."""
    scene.database.postgres.restart("fast")
    yield


@asynccontextmanager
async def backends_terminated(scene: RunContext) -> AsyncIterator[None]:
    """Every session of the daemon is ended, again and again."""

    async def terminate() -> None:
        while True:
            await scene.database.execute(_TERMINATE)
            await asyncio.sleep(_TERMINATE_SECONDS + scene.random.random() / 4)

    terminating = asyncio.create_task(terminate(), name="terminate backends")
    try:
        yield
    finally:
        terminating.cancel()
        await asyncio.gather(terminating, return_exceptions=True)


@asynccontextmanager
async def read_only(scene: RunContext) -> AsyncIterator[None]:
    """The server takes no writes, on old sessions neither, as a writer that was demoted."""
    await _set_system(scene.database, "default_transaction_read_only", "on")
    try:
        if scene.random.random() < 0.5:
            await scene.database.execute(_TERMINATE)
        yield
    finally:
        await _set_system(scene.database, "default_transaction_read_only", None)


@asynccontextmanager
async def disk_full(scene: RunContext) -> AsyncIterator[None]:
    """The disk of the index is full: a real small one where this machine may mount it, else a trigger says so.

    Only the index lies on it, not the server's log: a server whose log has no room left stops altogether, which is
    another fault.
    """
    folder = small_disk_folder(scene.database)
    if folder is None:
        scene.note("no disk could be mounted: a trigger raised 53100")
        async with raising(scene, "object_versions", "53100"):
            yield
        return
    with _filled(folder):
        yield


@asynccontextmanager
async def too_many_connections(scene: RunContext) -> AsyncIterator[None]:
    """Others have every place there is, and the daemon's own sessions are ended."""
    others: list[Connection] = []
    try:
        await scene.database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", _TERMINATE)
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            await _take_every_place(scene.database.url_of_others, others)
        await scene.database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        yield
    finally:
        for other in others:
            other.terminate()


async def _take_every_place(url: str, taken: list[Connection]) -> None:
    """Until the server says that there are too many; a superuser's places are left."""
    for _ in range(MAX_CONNECTIONS):
        connection = await asyncpg.connect(url, timeout=5)
        taken.append(connection)


@asynccontextmanager
async def password_rotated(scene: RunContext) -> AsyncIterator[None]:
    """The password is another one, and for a while the daemon is not told."""
    password = f"rotated-{scene.random.getrandbits(32):08x}"
    await scene.database.set_password(password, in_file=False)
    await scene.database.execute(_TERMINATE)
    try:
        yield
    finally:
        scene.database.write_password(password)


@contextmanager
def small_disk(database: ChaosDatabase, folder: Path) -> Iterator[bool]:
    """A disk of its own, mounted at `folder`, while the block runs; whether this machine allows it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES},mode=0755", "none", str(folder)]
    is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        if is_mounted:
            give(folder, account())
            (folder / "index").mkdir()
            give(folder / "index", account())
            database.small_disk = folder
        yield is_mounted
    finally:
        database.small_disk = None
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
        folder.rmdir()


@asynccontextmanager
async def index_on_small_disk(database: ChaosDatabase) -> AsyncIterator[None]:
    """Tables the daemon makes while the block runs lie on the small disk, if there is one."""
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
    """Where the small disk is mounted."""
    return database.small_disk


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Not a byte is left on the disk."""
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * _CHUNK_BYTES):
                pass
        yield
    finally:
        filler.unlink(missing_ok=True)


@asynccontextmanager
async def _stopped(scene: RunContext, mode: StopMode) -> AsyncIterator[None]:
    scene.database.postgres.stop(mode)
    try:
        yield
    finally:
        scene.database.postgres.start()


async def _set_system(database: ChaosDatabase, name: str, value: str | None) -> None:
    change = f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'"
    await database.execute(change, "SELECT pg_reload_conf()")
