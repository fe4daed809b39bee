"""A credentials endpoint on loopback, like the one ECS offers for a task's role.

It responds as ECS does (`AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration`; Amazon ECS developer guide, "Task
IAM role"). Credentials always expire in twelve minutes. botocore renews them from fifteen minutes before they expire,
so it asks at every use, and a run need not last for hours to see a renewal.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

_EXPIRES_IN = timedelta(minutes=12)


class CredentialsServer:
    """Made by `credentials_server`; `key` is both access key and secret."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.is_unavailable = False
        """Whether it responds with HTTP 500."""
        self.url = ""

    def renew(self, key: str) -> None:
        """Serves this key from now on, and is available again."""
        self._key = key
        self.is_unavailable = False

    def response(self) -> bytes:
        """The JSON body with the current credentials."""
        expires_at = (datetime.now(UTC) + _EXPIRES_IN).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": self._key, "SecretAccessKey": self._key, "Token": "session", "Expiration": expires_at}
        return msgspec.json.encode(keys)


@contextmanager
def credentials_server(key: str) -> Iterator[CredentialsServer]:
    """Serves an endpoint while the block runs."""
    source = CredentialsServer(key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"{}" if source.is_unavailable else source.response()
            self.send_response(500 if source.is_unavailable else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name for it
            """Discards the request log."""

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
