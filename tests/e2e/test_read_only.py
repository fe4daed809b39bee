"""The daemon runs on a read-only root file system: it writes no file from its start to its end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from subscriber.errors import ExitCode
from testkit.daemon import daemon_process
from tests.e2e.environment import RunContext, put_body, until

READ_ONLY = '''
"""Denies every open for writing, as a read-only file system does, and reports each attempt on a socket."""
import errno, os, socket, sys
reporter = socket.create_connection(("127.0.0.1", int(os.environ["WRITES_REPORTED_TO"])))
CHANGES = {"os." + name for name in "mkdir rename remove rmdir link symlink truncate utime chmod".split()}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def audit(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not flags & WRITING or str(path).startswith("/dev/"):
            return
    elif event not in CHANGES:
        return
    reporter.sendall(f"{event} {arguments[0]}\\n".encode())
    raise OSError(errno.EROFS, "Read-only file system", str(arguments[0]))

sys.addaudithook(audit)
'''


class ReadOnly:
    """Records what processes with its `environment` try to write."""

    def __init__(self) -> None:
        self.attempts: list[bytes] = []
        self.environment: dict[str, str] = {}

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the reports of one process until it ends."""
        self.attempts.extend([line async for line in reader])
        writer.close()


@pytest.fixture
async def read_only(tmp_path: Path) -> AsyncIterator[ReadOnly]:
    """A file system that Python cannot write to."""
    (tmp_path / "sitecustomize.py").write_text(READ_ONLY)
    listener = ReadOnly()
    async with await asyncio.start_server(listener.listen, "127.0.0.1", 0, family=socket.AF_INET) as server:
        listener.environment = {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "WRITES_REPORTED_TO": str(server.sockets[0].getsockname()[1]),
            "COVERAGE_PROCESS_START": "",  # coverage writes files, and is not part of the image
            "COVERAGE_PROCESS_CONFIG": "",
        }
        yield listener


async def test_nothing_is_written(context: RunContext, read_only: ReadOnly) -> None:
    """Start, migrate, store, serve HTTP, stop: with every write denied the daemon does all of it, and tries none."""
    with daemon_process(context.environment() | read_only.environment, "--migrate") as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        context.send([put_body("one.txt"), json.dumps({"nonsense": True})])
        await context.until_empty()
        assert (await asyncio.to_thread(daemon.page, "/metrics"))[0] == 200
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert read_only.attempts == []
    assert len(await context.fetch("SELECT FROM object_versions")) == 1


@pytest.mark.parametrize("write", ["open('made', 'w')", "import os; os.mkdir('made')"])
async def test_a_write_is_noticed(read_only: ReadOnly, tmp_path: Path, write: str) -> None:
    """A process that writes fails as in the image, and its attempt is recorded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        write,
        cwd=tmp_path,
        env=os.environ | read_only.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert b"Read-only file system" in complaint
    assert not (tmp_path / "made").exists()
    await until(lambda: [line.split()[1] for line in read_only.attempts] == [b"made"])
