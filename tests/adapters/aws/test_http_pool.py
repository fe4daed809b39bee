"""The connection pool: reuse, limits, and connections that either side closes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohappyeyeballs
import pytest
import trustme

from subscriber.adapters.aws import http_pool
from subscriber.adapters.aws.http_pool import DirectTransport, Origin, origin_of
from tests.adapters.aws.scripted_server import FINE, Server, answer_all, running


async def answer_once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers and closes the connection without `Connection: close`."""
    await server.request(reader)
    writer.write(FINE)


async def never_answer(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Receives a request and waits until the client disconnects."""
    await server.request(reader)
    await reader.read()


@asynccontextmanager
async def transport_to(port: int, connections: int = 2) -> AsyncIterator[DirectTransport]:
    """A pool for a local port."""
    transport = DirectTransport(Origin("127.0.0.1", port, None), connections)
    try:
        yield transport
    finally:
        await transport.close()


async def until_none_is_idle(transport: DirectTransport) -> None:
    """Poll, because a closed connection sets no event."""
    while transport.idle_connections:  # noqa: ASYNC110 – see above
        await asyncio.sleep(0)


async def test_the_bytes_of_a_request() -> None:
    """Request line, the given headers, Content-Length, body."""
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        answer = await transport.post({"host": "queue"}, b"body", 5)
    assert (answer.status, answer.content) == (200, b"{}")
    assert server.requests == [b"POST / HTTP/1.1\r\nhost: queue\r\ncontent-length: 4\r\n\r\nbody"]


async def test_the_bytes_of_a_read() -> None:
    """The target as given, the headers, and no length: a read has no content."""
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        answer = await transport.get("/lake?list-type=2", {"host": "store"}, 5)
    assert (answer.status, answer.content) == (200, b"{}")
    assert server.requests == [b"GET /lake?list-type=2 HTTP/1.1\r\nhost: store\r\n\r\n"]


async def answer_heads(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """States the length of a content that a HEAD does not get."""
    while True:
        await server.request(reader)
        writer.write(b"HTTP/1.1 301 Moved\r\nContent-Length: 500\r\nx-amz-bucket-region: eu-west-3\r\n\r\n")


async def test_a_head_ends_with_its_headers() -> None:
    """It would wait for its content otherwise, which never comes; the pool's other connections stay."""
    async with running(answer_heads) as (server, port), transport_to(port) as transport:
        answer = await transport.head("/lake", {"host": "store"}, 5)
        assert (answer.status, answer.header("X-Amz-Bucket-Region"), answer.content) == (301, "eu-west-3", b"")
        assert transport.idle_connections == 0
    assert server.requests == [b"HEAD /lake HTTP/1.1\r\nhost: store\r\n\r\n"]


async def cut_short(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends less than it has stated, and closes."""
    await server.request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<ListBucketResult>")


async def test_content_that_ends_early_is_an_error() -> None:
    """A part of a page must not pass for the page."""
    async with running(cut_short) as (_, port), transport_to(port) as transport:
        with pytest.raises(ConnectionError, match="the server closed the connection"):
            await transport.get("/lake", {}, 5)


async def test_one_connection_serves_one_request_after_another() -> None:
    """A new connection would cost round trips and a TLS handshake."""
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        for _ in range(5):
            await transport.post({}, b"", 5)
    assert server.connections == 1


async def test_no_more_connections_than_allowed() -> None:
    """Further requests wait, and all are answered."""
    async with running(answer_all) as (server, port), transport_to(port, connections=3) as transport:
        answers = await asyncio.gather(*(transport.post({}, b"", 5) for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert server.connections == 3


async def test_a_closed_connection_is_not_reused() -> None:
    """The pool has noticed that it is closed; the next request opens a new one."""
    async with running(answer_once) as (server, port), transport_to(port) as transport:
        for _ in range(3):
            await transport.post({}, b"", 5)
            await until_none_is_idle(transport)
    assert server.connections == 3


async def test_an_idle_connection_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be about to close it, and the request would be lost."""
    monkeypatch.setattr(http_pool, "IDLE_SECONDS", -1.0)
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        for _ in range(2):
            await transport.post({}, b"", 5)
    assert server.connections == 2


async def test_a_late_response_is_discarded() -> None:
    """A cancelled request closes its connection."""
    async with running(never_answer) as (server, port), transport_to(port, connections=1) as transport:
        for _ in range(2):
            server.left.clear()
            server.received.clear()
            asking = asyncio.create_task(transport.post({}, b"", 5), name="asking")
            await server.received.wait()
            asking.cancel()
            await server.left.wait()
    assert server.connections == 2


async def test_a_request_has_a_deadline() -> None:
    """A request times out if the server does not answer, or if no connection becomes free."""
    async with running(never_answer) as (server, port), transport_to(port, connections=1) as transport:
        asking = [transport.post({}, b"", 0.05) for _ in range(3)]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 3
    assert server.connections == 1


async def test_a_connection_that_the_server_closes_is_an_error() -> None:
    """The server may or may not have processed the request; the caller decides what to do."""

    async def close_at_once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    async with running(close_at_once) as (_, port), transport_to(port) as transport:
        with pytest.raises(ConnectionError):
            await transport.post({}, b"", 5)


async def test_a_refused_connection_is_an_error() -> None:
    """A refused connection is an error every time and does not use up a slot."""
    async with running(answer_all) as (_, port):
        pass
    async with transport_to(port, connections=1) as transport:
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011 – asyncio and uvloop word it differently
                await transport.post({}, b"", 5)


async def test_concurrent_requests_share_a_dns_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 polls that connect at once share one DNS lookup; after a failed connection there is a new one."""
    async with running(answer_all) as (_, port), transport_to(port, connections=64) as transport:
        lookups: list[object] = []
        look_up = transport._look_up

        async def counted() -> object:
            lookups.append(None)
            return await look_up()

        monkeypatch.setattr(transport, "_look_up", counted)
        await asyncio.gather(*(transport.post({}, b"", 5) for _ in range(64)))
        assert len(lookups) == 1
    with pytest.raises(OSError):  # noqa: PT011 – asyncio and uvloop word it differently
        await _post_on_new_connection(transport)
    with pytest.raises(OSError):  # noqa: PT011 – the same
        await _post_on_new_connection(transport)
    assert len(lookups) == 2


async def _post_on_new_connection(transport: DirectTransport) -> None:
    """Post over a new connection."""
    await transport.close()
    await transport.post({}, b"", 5)


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has several addresses and the first does not answer: the next one is used."""
    async with running(answer_all) as (_, port), transport_to(port) as transport:
        closed = socket.create_server(("127.0.0.1", 0))
        closed_address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", closed.getsockname())
        closed.close()
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

        async def both(*_args: object, **_options: object) -> list[object]:
            return [closed_address, here]

        monkeypatch.setattr(transport, "_look_up", both)
        assert (await transport.post({}, b"", 5)).status == 200


async def test_connecting_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the address and the timeout."""

    async def never(*_args: object, **_options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(http_pool, "CONNECT_TIMEOUT_SECONDS", 0.01)
    async with transport_to(9) as transport:
        monkeypatch.setattr(transport, "_open_connection", never)
        with pytest.raises(ConnectionError, match=r"no connection to 127.0.0.1:9 within 0.01 s"):
            await transport.post({}, b"", 5)


async def test_a_descriptor_in_use_is_an_error_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RuntimeError that aiohappyeyeballs documents for uvloop does not leave the pool: the next request connects."""
    connect, failures = (
        aiohappyeyeballs.start_connection,
        iter([RuntimeError("File descriptor 9 is used by transport")]),
    )

    async def start_connection(*given: Any, **options: Any) -> socket.socket:
        for failure in failures:
            raise failure
        return await connect(*given, **options)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    async with running(answer_all) as (_, port), transport_to(port, connections=1) as transport:
        with pytest.raises(ConnectionError, match=r"^File descriptor 9 is used by transport$"):
            await transport.post({}, b"", 5)
        assert (await transport.post({}, b"", 5)).status == 200


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_the_server_is_verified(*, is_trusted: bool) -> None:
    """Without a certificate of a trusted CA for the requested name no request is sent."""
    authority, other = trustme.CA(), trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(served)
    trusted = ssl.create_default_context()
    (authority if is_trusted else other).configure_trust(trusted)
    async with running(answer_all, served) as (server, port):
        transport = DirectTransport(origin_of(urlsplit(f"https://localhost:{port}"), trusted), 1)
        if is_trusted:
            assert (await transport.post({}, b"", 5)).status == 200
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                await transport.post({}, b"", 5)
            assert not server.requests
        await transport.close()


def test_the_origin_of_a_url() -> None:
    """The default ports of the schemes; https is verified with the system's CAs by default."""
    assert origin_of(urlsplit("http://queue.example"), None) == Origin("queue.example", 80, None)
    assert origin_of(urlsplit("http://[::1]:4566/"), None) == Origin("::1", 4566, None)
    secure = origin_of(urlsplit("https://sqs.eu-west-1.amazonaws.com"), None)
    assert secure.port == 443
    assert secure.tls is not None
    assert secure.tls.verify_mode is ssl.CERT_REQUIRED
