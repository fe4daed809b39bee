"""Who gives the daemon its credentials: the endpoint that ECS has for a task's role, on loopback.

Its answer is that of ECS (`AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration`; Amazon ECS developer guide, "Task
IAM role"). It always ends in twelve minutes, so that botocore, which renews from a quarter of an hour before the end,
asks whenever credentials are wanted: a run need not last for hours to see a renewal.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

_ENDS_IN = timedelta(minutes=12)


class CredentialsServer:
    """Made by `credentials_server`. `key` is access key and secret in one word."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.is_away = False
        """Answers 500."""
        self.url = ""

    def renew(self, key: str) -> None:
        """Give this one from now on, and be there."""
        self._key = key
        self.is_away = False

    def answer(self) -> bytes:
        """What is asked for."""
        ends_at = (datetime.now(UTC) + _ENDS_IN).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": self._key, "SecretAccessKey": self._key, "Token": "session", "Expiration": ends_at}
        return msgspec.json.encode(keys)


@contextmanager
def credentials_server(key: str) -> Iterator[CredentialsServer]:
    """An endpoint while the block runs."""
    source = CredentialsServer(key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"{}" if source.is_away else source.answer()
            self.send_response(500 if source.is_away else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name for it
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source.url = f"http://127.0.0.1:{server.server_port}/credentials"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="credentials", daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
