"""The daemon's HTTP port: loopback by default, and no command without the token."""

from __future__ import annotations

import asyncio
import hmac
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import psutil
import pytest

from subscriber.admin.control import rejection_of
from subscriber.admin.limits import CONNECTIONS_AT_MOST
from subscriber.errors import ExitCode
from testkit.daemon import DaemonProcess
from tests.e2e.environment import RunContext

TOKEN = "open-sesame-42"
METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = ("/", "/livez", "/readyz", "/metrics", "/control", "/control/pause", "//control", "/%63ontrol")


def addresses(daemon: DaemonProcess) -> set[str]:
    """The addresses on which the process listens."""
    sockets = psutil.Process(daemon.pid).net_connections("inet")
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


def status_of(daemon: DaemonProcess, method: str, path: str, **headers: str) -> int:
    """The HTTP status of a command."""
    port = daemon.wait_for("http.listening")["port"]
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, b'{"mode": "pause"}', headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_it_listens_on_loopback_and_needs_the_token(context: RunContext) -> None:
    """No method on any page changes anything without the token, or with a wrong or misplaced one."""
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert addresses(daemon) == {"127.0.0.1"}
        answers = {(m, path): await asyncio.to_thread(status_of, daemon, m, path) for m in METHODS for path in PATHS}
        assert {status for status in answers.values() if status < 400} == set()
        for given in (
            "",
            TOKEN,
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Basic {TOKEN}",
            "Bearer",
            f"Bearer\t{TOKEN}",
        ):
            assert await asyncio.to_thread(status_of, daemon, "POST", "/control", Authorization=given) == 401
        for path in (f"/control?token={TOKEN}", f"/control?Authorization=Bearer%20{TOKEN}"):
            assert await asyncio.to_thread(status_of, daemon, "POST", path) == 401
        assert daemon.metric("subscriber_control_mode", mode="paused") == 0
        known = await asyncio.to_thread(status_of, daemon, "POST", "/control", Authorization=f"Bearer {TOKEN}")
        assert known == 200
        assert daemon.metric("subscriber_control_mode", mode="paused") == 1
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_it_listens_elsewhere_only_if_configured(context: RunContext) -> None:
    """SUBSCRIBER_HTTP_HOST opens it; without a token in the settings every command is rejected."""
    with context.daemon(HTTP_HOST="0.0.0.0") as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert addresses(daemon) == {"0.0.0.0"}
        assert await asyncio.to_thread(status_of, daemon, "POST", "/control", Authorization="Bearer None") == 403
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_silent_clients_use_up_nothing(context: RunContext) -> None:
    """Of 200 clients that send nothing or half a request at most 64 are held; a health check is answered meanwhile."""
    with context.daemon() as daemon, ExitStack() as clients:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        port = daemon.wait_for("http.listening")["port"]
        silent = [clients.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(200)]
        for one in silent[::2]:
            with suppress(OSError):  # closed already, as one too many
                one.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        page, _ = await asyncio.to_thread(daemon.page, "/livez")
        assert page == 200
        assert established(daemon, port) <= CONNECTIONS_AT_MOST
        await asyncio.gather(*(asyncio.to_thread(read_to_end, one) for one in silent))
        assert established(daemon, port) == 0
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


def established(daemon: DaemonProcess, port: int) -> int:
    """How many connections of clients the process holds."""
    sockets = psutil.Process(daemon.pid).net_connections("inet")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in sockets)


def read_to_end(client: socket.socket) -> None:
    """Wait until the daemon has closed the connection."""
    client.settimeout(20)
    with suppress(ConnectionError):
        assert client.recv(1) == b""


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hmac.compare_digest` decides, and nothing compares the given token before it."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return real(given, known)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in (TOKEN, "x", ""):
        rejection_of(f"Bearer {given}", TOKEN)
    assert compared == [(given.encode(), TOKEN.encode()) for given in (TOKEN, "x", "")]
