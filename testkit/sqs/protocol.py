"""HTTP/1.1 with keep-alive, one request at a time on each connection."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from functools import lru_cache
from typing import cast

import httptools

from testkit.signature import SignedRequest
from testkit.sqs import errors
from testkit.sqs.message import new_message_id
from testkit.sqs.polls import WaitingPoll
from testkit.sqs.service import Answer, Service

MAX_REQUEST_BYTES = 4 * 1_048_576
"""With headers: enough for a batch of 1 MiB in which nearly every character is escaped in JSON."""

_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Payload Too Large"}


class Connection(asyncio.Protocol):
    """One client's connection. httptools calls the `on_` methods while it parses."""

    def __init__(self, service: Service, connections: set[Connection]) -> None:
        self._service = service
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._waiting: WaitingPoll | None = None
        self._is_answering = False
        self._keeps_alive = True
        self._request_bytes = 0
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        # The parser calls these for a dozen headers per request, so they are bound C methods. The last of repeated
        # headers wins; if the client signed another one, the signature check fails.
        self.on_header = self._headers.__setitem__
        self.on_body = self._body.append
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone: its poll must get no message."""
        self._transport = None
        self._connections.discard(self)
        if self._waiting is not None:
            self._waiting.leave()
            self._waiting = None

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse the data; a complete request is answered within this call."""
        self._request_bytes += len(data)
        if self._request_bytes > MAX_REQUEST_BYTES:
            self._reject(errors.REQUEST_TOO_LARGE.because(f"A request has at most {MAX_REQUEST_BYTES} bytes."))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error.__context__, errors.RejectedError):
                self._reject(error.__context__)
            else:
                self._reject(errors.MALFORMED_INPUT.because("This is not an HTTP/1.1 request."))

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._is_answering:
            raise errors.MALFORMED_INPUT.because("The last request on this connection has not been answered yet.")
        self._target = b""
        self._headers.clear()
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._target += url

    def on_headers_complete(self) -> None:
        """All headers have been parsed."""
        self._keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """The request is complete: answer it."""
        self._is_answering = True
        self._request_bytes = 0
        headers = {name.lower(): value for name, value in self._headers.items()}
        body = b"".join(self._body)
        request = SignedRequest(self._parser.get_method(), self._target, headers, body)
        self._waiting = self._service.answer(request, self._send)

    def _send(self, answer: Answer) -> None:
        self._waiting = None
        self._is_answering = False
        if self._transport is None:
            return
        if answer.is_lost:
            self._transport.abort()
            return
        self._transport.write(_response(answer, keeps_alive=self._keeps_alive))
        if not self._keeps_alive:
            self._transport.close()

    def _reject(self, error: errors.RejectedError) -> None:
        if self._transport is not None:
            answer = Answer(errors.fault_body(error), error.fault)
            self._transport.write(_response(answer, keeps_alive=False))
            self._transport.close()


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    """Once for each second."""
    return formatdate(second, usegmt=True)


def _response(answer: Answer, *, keeps_alive: bool) -> bytes:
    status = answer.fault.status if answer.fault else 200
    extra = f"x-amzn-query-error: {errors.query_error(answer.fault)}\r\n" if answer.fault else ""
    extra += f"Date: {_http_date(int(time.time() if answer.served_at is None else answer.served_at))}\r\n"
    if not keeps_alive:
        extra += "Connection: close\r\n"
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Internal Server Error')}\r\n"
        f"x-amzn-RequestId: {new_message_id()}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"{extra}Content-Length: {len(answer.body)}\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body
