"""The daemon's port: on this machine alone unless told otherwise, and nothing moves without the token."""

from __future__ import annotations

import asyncio
import hmac
import urllib.error
import urllib.request

import psutil
import pytest

from subscriber.admin.control import refusal_of
from subscriber.errors import ExitCode
from testkit.daemon import DaemonProcess
from tests.e2e.environment import RunContext

TOKEN = "open-sesame-42"
METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = ("/", "/livez", "/readyz", "/metrics", "/control", "/control/pause", "//control", "/%63ontrol")


def addresses(daemon: DaemonProcess) -> set[str]:
    """Where the process listens."""
    sockets = psutil.Process(daemon.pid).net_connections("inet")
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


def status_of(daemon: DaemonProcess, method: str, path: str, **headers: str) -> int:
    """The answer to a command."""
    port = daemon.wait_for("http.listening")["port"]
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, b'{"mode": "pause"}', headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_it_listens_on_loopback_and_moves_for_the_token_alone(scene: RunContext) -> None:
    """No method on no page changes anything without it; nor does a token that is nearly right, or sent otherwise."""
    with scene.daemon(CONTROL_TOKEN=TOKEN) as daemon:
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


async def test_it_listens_elsewhere_only_when_told(scene: RunContext) -> None:
    """SUBSCRIBER_HTTP_HOST is what opens it; even then, without a token in the settings, nobody moves anything."""
    with scene.daemon(HTTP_HOST="0.0.0.0") as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert addresses(daemon) == {"0.0.0.0"}
        assert await asyncio.to_thread(status_of, daemon, "POST", "/control", Authorization="Bearer None") == 403
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is `hmac.compare_digest` that decides, and nothing before it looks at the token that was given."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return real(given, known)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in (TOKEN, "x", ""):
        refusal_of(f"Bearer {given}", TOKEN)
    assert compared == [(given.encode(), TOKEN.encode()) for given in (TOKEN, "x", "")]
