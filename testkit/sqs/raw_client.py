"""A minimal SQS client with little CPU cost: one blocking socket, requests built and signed directly.

It is meant for measurements and load generators. A request may be built once and sent many times: its signature is
valid for 15 minutes.
"""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from testkit.signature import SignedRequest, amz_date, sign
from testkit.sqs.signature import QUEUE_SERVICE

_TIMEOUT_SECONDS = 60.0
_READ_BYTES = 262_144
# The unsigned headers of aiobotocore, so that the server parses as much as for a real client.
_UNSIGNED_HEADERS = (
    "User-Agent: subscriber-testkit/1 md/raw ua/2.1 lang/python md/pyimpl#CPython cfg/retry-mode#standard\r\n"
    "amz-sdk-invocation-id: 00000000-0000-4000-a000-000000000000\r\n"
    "amz-sdk-request: attempt=1\r\n"
    "Accept-Encoding: identity\r\n"
    "Accept: */*\r\n"
)


class QueueFault(Exception):  # noqa: N818 - the service calls it a fault
    """The SQS emulator answered with a fault; the text is its JSON."""


class RawClient:
    """One connection to an SQS emulator."""

    def __init__(
        self,
        endpoint_url: str,
        access_key: str = "local",
        secret_key: str = "local",
        region: str = "us-east-1",
    ) -> None:
        address = urlsplit(endpoint_url)
        self._host = address.netloc
        self._credentials = (access_key, secret_key, region)
        self._encoder = msgspec.json.Encoder()
        self._socket = socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, operation: str, **parameters: Any) -> Any:
        """Call an operation of the service (`ReceiveMessage`) and return the decoded answer.

        Raises:
            QueueFault: the server answers with a fault.
        """
        return msgspec.json.decode(self.exchange(self.build(f"AmazonSQS.{operation}", parameters)))

    def attach_backlog(self, queue_url: str, function: str, **arguments: Any) -> None:
        """Let the queue generate its messages when they are received, from `module:function(**arguments)`.

        Raises:
            QueueFault: there is no such function.
        """
        self.call_admin("AttachBacklog", QueueUrl=queue_url, Function=function, Arguments=arguments)

    def call_admin(self, operation: str, **parameters: Any) -> Any:
        """Call an admin operation of the emulator (`SetFaults`) and return the decoded answer.

        Raises:
            QueueFault: the server answers with a fault.
        """
        return msgspec.json.decode(self.exchange(self.build(f"QueueAdmin.{operation}", parameters)))

    def build(self, target: str, parameters: Any) -> bytes:
        """The complete request, signed now."""
        body = self._encoder.encode(parameters)
        headers = {
            b"content-type": b"application/x-amz-json-1.0",
            b"host": self._host.encode(),
            b"x-amz-date": amz_date(time.time()).encode(),
            b"x-amz-target": target.encode(),
            b"x-amzn-query-mode": b"true",
        }
        authorization = sign(QUEUE_SERVICE, SignedRequest(b"POST", b"/", headers, body), *self._credentials)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers.items())
        head = (
            f"POST / HTTP/1.1\r\n{lines.decode()}Authorization: {authorization}\r\n{_UNSIGNED_HEADERS}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def exchange(self, request: bytes) -> bytes:
        """Send a built request and return the body of the answer; see `send` and `read`."""
        self.send(request)
        return self.read()

    def send(self, request: bytes) -> None:
        """Send a built request; the caller reads its answer before it sends the next one."""
        self._socket.sendall(request)

    def read(self) -> bytes:
        """The body of the answer to the last request.

        Raises:
            QueueFault: the server answers with a fault.
            ConnectionError: the server closes the connection.
        """
        head, separator, body = b"", b"", b""
        while not separator:
            head, separator, body = (head + self._read()).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        parts, missing = [body], length - len(body)
        while missing > 0:
            parts.append(self._read())
            missing -= len(parts[-1])
        answer = b"".join(parts)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise QueueFault(answer.decode())
        return answer

    def _read(self) -> bytes:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the SQS emulator closed the connection")
        return data
