"""PgBouncer as packaged by Debian, in front of a local server, with transaction pooling."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import psutil

from testkit.process import ProcessError, child_process, free_port

_START_SECONDS = 20.0
_UNPRIVILEGED = "nobody"
"""PgBouncer does not run as root."""


class PgBouncer(msgspec.Struct, frozen=True):
    """A running pooler."""

    url: str
    """The server's URL with the pooler's port."""


def pgbouncer_program() -> str | None:
    """The path of the program; None if the package is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pgbouncer(server_url: str, *, sessions: int, mode: str = "transaction", ignored: str = "") -> Iterator[PgBouncer]:
    """A pooler in front of the server at `server_url` that runs while the block runs.

    Args:
        server_url: a TCP URL with user and password.
        sessions: number of server connections; choose fewer than clients, so that clients really share them.
        mode: its pool_mode.
        ignored: its ignore_startup_parameters, separated by commas.

    Raises:
        ProcessError: the package is missing, or the pooler does not start.
    """
    program = pgbouncer_program()
    if program is None:
        raise ProcessError("PgBouncer is not installed: apt-get install pgbouncer")
    parts = urlsplit(server_url)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        users = home / "users.txt"
        users.write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
        settings = home / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\n"
            f"pool_mode = {mode}\ndefault_pool_size = {sessions}\nmax_client_conn = 100\n"
            f"ignore_startup_parameters = {ignored}\n"
        )
        command = [program, *(["-u", _UNPRIVILEGED] if os.getuid() == 0 else []), str(settings)]
        with child_process("PgBouncer", command, is_third_party=True, grace_seconds=1.0) as child:
            child.wait_until(lambda: _listens(port) or None, _START_SECONDS)
            yield PgBouncer(server_url.replace(f":{parts.port}/", f":{port}/"))


def _listens(port: int) -> bool:
    connections = psutil.net_connections("tcp4")
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections if each.laddr)
