"""`subscriber control` over a real socket; each failure is one line and an exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from subscriber.admin.client import address_of, mode_text, status_text
from subscriber.cli.main import main
from subscriber.control.status import ControlStatus
from subscriber.errors import ConfigurationError
from tests.fakes.control_status import QUIET

TOKEN = "open-sesame-42"
STATUS = msgspec.structs.replace(QUIET, limit=3.25, held_messages=812)


class Daemon:
    """Answers each request as the test says, and records it."""

    def __init__(self) -> None:
        self.status, self.answer = 200, msgspec.json.encode(STATUS)
        self.requests: list[tuple[str, str, str | None, Any]] = []
        """Method, path, Authorization and body of each."""
        self.port = 0

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        token = request.headers.get("Authorization")
        self.requests.append((request.command, request.path, token, json.loads(body) if body else None))
        request.send_response(self.status)
        request.send_header("Content-Length", str(len(self.answer)))
        request.end_headers()
        request.wfile.write(self.answer)


@contextmanager
def served(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, listening on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon.handle(self)

        def do_POST(self) -> None:
            daemon.handle(self)

        def log_message(self, *_: object) -> None:
            """Discard it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        daemon.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="daemon")
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that answers."""
    with served(Daemon()) as daemon:
        yield daemon


def control(daemon: Daemon, *words: str, **environment: str | None) -> Result:
    """Run `subscriber control …` with only the daemon's port and token set."""
    own = {"SUBSCRIBER_HTTP_PORT": str(daemon.port), "SUBSCRIBER_CONTROL_TOKEN": TOKEN}
    return CliRunner().invoke(main, ["control", *words], env=own | environment)


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["pause"], {"mode": "pause"}),
        (["resume"], {"mode": "resume"}),
        (["auto"], {"mode": "auto"}),
        (["limit", "0.5"], {"mode": "limit", "limit": 0.5}),
    ],
)
def test_a_command_is_posted_with_the_token(daemon: Daemon, words: list[str], body: dict[str, Any]) -> None:
    """The state that it led to is printed in one line."""
    result = control(daemon, *words)
    assert daemon.requests == [("POST", "/control", f"Bearer {TOKEN}", body)]
    assert (result.exit_code, result.stdout) == (0, mode_text(STATUS) + "\n")


@pytest.mark.parametrize("words", [[], ["status"]])
def test_status_needs_no_token(daemon: Daemon, words: list[str]) -> None:
    """`control` without a command prints what `control status` prints."""
    result = control(daemon, *words, SUBSCRIBER_CONTROL_TOKEN=None)
    assert daemon.requests == [("GET", "/control", None, None)]
    assert (result.exit_code, result.stdout) == (0, status_text(STATUS) + "\n")


def test_status_as_json_is_the_whole_page(daemon: Daemon) -> None:
    """It is the document of GET /control."""
    for words in (["status", "--json"], ["--json"]):
        result = control(daemon, *words)
        assert (result.exit_code, msgspec.json.decode(result.stdout, type=ControlStatus)) == (0, STATUS)
    assert control(daemon, "--json", "pause").exit_code == 2
    assert [method for method, *_ in daemon.requests] == ["GET", "GET"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (400, "the daemon rejects it: a limit of 9 is out of bounds"),
        (401, "SUBSCRIBER_CONTROL_TOKEN is not the daemon's"),
        (403, "SUBSCRIBER_CONTROL_TOKEN is not set at the daemon, so it accepts no command"),
    ],
)
def test_a_rejected_command_prints_the_daemons_reason(daemon: Daemon, code: int, sentence: str) -> None:
    """On stderr, with the exit code for invalid arguments; for a token it is the name of the setting."""
    daemon.status, daemon.answer = code, b'{"error": "a limit of 9 is out of bounds"}'
    result = control(daemon, "limit", "9")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"subscriber: {sentence}\n"


@pytest.mark.parametrize("token", ["", None])
def test_a_command_without_a_token_is_not_sent(daemon: Daemon, token: str | None) -> None:
    """The daemon would reject it."""
    result = control(daemon, "pause", SUBSCRIBER_CONTROL_TOKEN=token)
    assert (result.exit_code, result.stdout, daemon.requests) == (2, "", [])
    assert result.stderr == "subscriber: SUBSCRIBER_CONTROL_TOKEN is not set here; a command needs the daemon's\n"


@pytest.mark.parametrize("writes", ["nan", "inf", "x", "-1", "0"])
def test_a_limit_that_is_no_number_names_the_bounds(daemon: Daemon, writes: str) -> None:
    """Those of the daemon, or those of the settings if it does not answer; no command is sent."""
    result = control(daemon, "limit", writes)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "subscriber: WRITES is a number from 0.05 to 8\n"
    assert [method for method, *_ in daemon.requests] == ["GET"]
    daemon.status, daemon.answer = 503, b'{"error": "the pipeline is not running"}'
    unknown = control(daemon, "limit", writes)
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert unknown.stderr == "subscriber: WRITES is a number from 0.01 to 64\n"


def test_a_daemon_that_is_starting_or_stopping_exits_1(daemon: Daemon) -> None:
    """The operator made no mistake, so the exit code is another one."""
    daemon.status, daemon.answer = 503, b'{"error": "the pipeline is not running"}'
    result = control(daemon, "pause")
    assert (result.exit_code, result.stderr) == (1, "subscriber: the pipeline is not running\n")


def test_no_daemon_is_one_clear_line(daemon: Daemon) -> None:
    """It names the address, the reason, and the settings that lead there."""
    gone = Daemon()
    with served(gone):
        pass
    result = control(gone, "pause")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"subscriber: no daemon answers at http://127.0.0.1:{gone.port}/control (")
    assert "refused" in result.stderr
    assert "SUBSCRIBER_HTTP_PORT" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("code", "answer"), [(200, b"<html>"), (200, b"{}"), (404, b"not found"), (500, b"")])
def test_another_service_on_that_port_is_recognized(daemon: Daemon, code: int, answer: bytes) -> None:
    """Another service, or another release."""
    daemon.status, daemon.answer = code, answer
    result = control(daemon, "status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not a subscriber of this release" in result.stderr


def test_no_proxy_is_used(daemon: Daemon) -> None:
    """A proxy would look for the daemon on its own machine."""
    result = control(daemon, "status", http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["pause"], {"SUBSCRIBER_HTTP_PORT": "0"}, "http.listening"),
        (["pause"], {"SUBSCRIBER_HTTP_PORT": "http"}, "SUBSCRIBER_HTTP_PORT is 'http'"),
        (["pause"], {"SUBSCRIBER_CONTROL_TOKEN": "short"}, "SUBSCRIBER_CONTROL_TOKEN: too short"),
        (["limit"], {}, "Missing argument"),
        (["stop"], {}, "No such command"),
    ],
)
def test_mistakes_of_the_operator_exit_2(
    daemon: Daemon, words: list[str], environment: dict[str, str], message: str
) -> None:
    """No request is sent."""
    result = control(daemon, *words, **environment)
    assert (result.exit_code, result.stdout, daemon.requests) == (2, "", [])
    assert message in result.stderr
    assert "short'" not in result.stderr


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/control"),
        ("0.0.0.0", "http://127.0.0.1:8080/control"),
        ("::", "http://[::1]:8080/control"),
        ("::1", "http://[::1]:8080/control"),
        ("daemon.internal", "http://daemon.internal:8080/control"),
    ],
)
def test_the_daemon_is_where_it_listens(host: str, address: str) -> None:
    """A daemon that listens on every address is reached on loopback."""
    assert address_of(host, 8080) == address
    with pytest.raises(ConfigurationError):
        address_of(host, 0)
