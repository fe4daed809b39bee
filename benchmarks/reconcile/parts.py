"""The processes of a measurement, and the commands that run on them: all of them on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec

from benchmarks.loadtest.database import database_settings
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from testkit.environment import LocalEnvironment, local_environment
from testkit.process import ProcessError
from testkit.s3.buckets import BucketSpec
from testkit.s3.launch import ListingServer, local_listing_server

BUCKET: Final = "lake"
TABLE: Final = "subscriber.object_versions"
WITHOUT_AUTOVACUUM: Final = {"autovacuum": "off"}
"""It would run beside one measurement and not beside another."""
NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})
_ROOT: Final = Path(__file__).parents[2]
_WATCH_SECONDS: Final = 0.05
_QUEUE: Final = "object-events"
_SQL_SECONDS: Final = 3_600.0
IDLE_DATABASE: Final = {"SUBSCRIBER_DATABASE_LOAD_SOURCE": "none", "SUBSCRIBER_WRITE_MIN_CONCURRENCY": "8"}
"""What an operator sets whose database has nothing else to do: the command may use its whole share, half of the limit,
from the first second. It is what the load tests set; the question is what the command can do, not how soon the governor
lets it."""


class Ran(msgspec.Struct, frozen=True):
    """A command that has ended."""

    code: int
    report: dict[str, Any]
    """What `--format json` printed."""
    seconds: float
    """Wall time, the start of Python included."""
    cpu_seconds: float
    """User and system time of the command, the start included."""
    database_cpu_seconds: float
    server_cpu_seconds: float
    """Of the listing server."""
    peak_bytes: int
    """VmHWM of the command (Linux, proc(5)); 0 elsewhere."""

    def counter(self, name: str) -> int:
        """One of the job's counters."""
        return int(self.report["counters"][name])


class Command:
    """A command that runs. It is ended with its context."""

    def __init__(self, parts: Parts, arguments: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self._parts, self.arguments = parts, arguments
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._before = parts.postgres_cpu_seconds(), parts.server.counts().cpu_seconds
        self._started = time.monotonic()
        command = [sys.executable, "-m", "subscriber", *arguments]
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env={**parts.variables(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.code is None

    def interrupt(self) -> None:
        """Ask it to end, and wait for that: it gives its ranges back."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def error_tail(self) -> str:
        """The end of what it wrote to stderr."""
        return _text(self._err)[-2000:]

    def wait(self, expected: tuple[int, ...] = (0,)) -> Ran:
        """Wait for its end.

        Raises:
            ProcessError: it ended with another exit code than is expected.
        """
        peak = 0
        while (ended := os.wait4(self.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, _peak_bytes(self.pid))
            time.sleep(_WATCH_SECONDS)
        _, status, usage = ended
        seconds = time.monotonic() - self._started
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        if code not in expected:
            raise ProcessError(f"subscriber {' '.join(self.arguments)} ended with {code}\n{self.error_tail()}")
        return Ran(
            code=code,
            report=msgspec.json.decode(_text(self._out)),
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            database_cpu_seconds=self._parts.postgres_cpu_seconds() - self._before[0],
            server_cpu_seconds=self._parts.server.counts().cpu_seconds - self._before[1],
            peak_bytes=peak,
        )

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._err.close()


class Parts:
    """PostgreSQL, an SQS emulator with one queue, and the listing server; made by `running_parts`."""

    def __init__(self, environment: LocalEnvironment, server: ListingServer, queue_url: str) -> None:
        self.environment, self.server, self.queue_url = environment, server, queue_url

    @property
    def database_url(self) -> str:
        """Of PostgreSQL."""
        return self.environment.postgres.url

    def postgres_cpu_seconds(self) -> float:
        """Of the whole process tree, ended sessions included."""
        return self.environment.postgres.cpu_seconds()

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SUBSCRIBER_"))}
        return {
            **kept,
            **self.environment.aws_variables(),
            "AWS_ENDPOINT_URL_S3": self.server.endpoint_url,
            "SUBSCRIBER_DATABASE_URL": self.database_url,
            "SUBSCRIBER_QUEUE_URLS": self.queue_url,
        }

    @contextmanager
    def started(self, *arguments: str, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[Command]:
        """Run `subscriber` with these arguments, `--anyway` and `--format json`, and these environment variables."""
        command = Command(self, (*arguments, "--anyway", "--format", "json", "--requests-per-second", "5000"), settings)
        try:
            yield command
        finally:
            command.close()

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,), settings: Mapping[str, str] = NO_SETTINGS) -> Ran:
        """The same, to its end.

        Raises:
            ProcessError: it ended with another exit code than is expected.
        """
        with self.started(*arguments, settings=settings) as command:
            return command.wait(expected)

    def execute(self, *statements: str) -> None:
        """Execute statements, each by itself."""
        asyncio.run(self._execute(statements))

    def value(self, query: str, *parameters: object) -> Any:
        """The one value that a query gives."""
        return asyncio.run(self._value(query, *parameters))

    def empty_table(self) -> None:
        """Remove all rows of the index, and write what is pending."""
        self.execute(f"TRUNCATE {TABLE}", "CHECKPOINT")

    async def _execute(self, statements: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(self.database_url, command_timeout=_SQL_SECONDS)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _value(self, query: str, *parameters: object) -> Any:
        connection = await asyncpg.connect(self.database_url, command_timeout=_SQL_SECONDS)
        try:
            return await connection.fetchval(query, *parameters)
        finally:
            await connection.close()


@contextmanager
def running_parts(spec: BucketSpec) -> Iterator[Parts]:
    """The processes, and the tables.

    Raises:
        ProcessError: a server does not start.
        LocalPostgresError: PostgreSQL does not start.
    """
    with (
        local_environment(database_settings() | WITHOUT_AUTOVACUUM) as environment,
        local_listing_server([spec]) as server,
    ):
        asyncio.run(migrate(StoreOptions(url=environment.postgres.url, schema="subscriber", tls="disable")))
        yield Parts(environment, server, environment.make_queue(_QUEUE))


def _peak_bytes(process_id: int) -> int:
    # Not ru_maxrss, which begins with what the parent had when it started the process (Linux, getrusage(2)).
    with contextlib.suppress(OSError):
        found = Path(f"/proc/{process_id}/status").read_text().partition("VmHWM:")[2].split()
        return int(found[0]) * 1024 if found else 0
    return 0


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))
