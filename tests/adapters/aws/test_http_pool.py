"""Posting over connections that stay open: reuse, bounds, and what happens when either side goes away."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trustme

from subscriber.adapters.aws import http_pool
from subscriber.adapters.aws.http_pool import DirectTransport, Origin, origin_of
from tests.adapters.aws.scripted_server import FINE, Server, answer_all, running


async def answer_once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers and hangs up, without having said that it would."""
    await server.request(reader)
    writer.write(FINE)


async def say_nothing(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a request, and waits for the client to lose its patience."""
    await server.request(reader)
    await reader.read()


@asynccontextmanager
async def transport_to(port: int, connections: int = 2) -> AsyncIterator[DirectTransport]:
    """A pool that leads there."""
    transport = DirectTransport(Origin("127.0.0.1", port, None), connections)
    try:
        yield transport
    finally:
        await transport.close()


async def until_none_is_idle(transport: DirectTransport) -> None:
    """The end of a connection tells nobody, hence the asking."""
    while transport.idle_connections:  # noqa: ASYNC110 – see above
        await asyncio.sleep(0)


async def test_a_request_is_what_http_wants() -> None:
    """Request line, the headers given, the length, the body."""
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        answer = await transport.post({"host": "queue"}, b"body", 5)
    assert (answer.status, answer.content) == (200, b"{}")
    assert server.requests == [b"POST / HTTP/1.1\r\nhost: queue\r\ncontent-length: 4\r\n\r\nbody"]


async def test_one_connection_serves_one_request_after_another() -> None:
    """Opening one costs round trips and, with TLS, a handshake."""
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        for _ in range(5):
            await transport.post({}, b"", 5)
    assert server.connections == 1


async def test_no_more_connections_than_allowed() -> None:
    """Further requests wait for their turn, and all are answered."""
    async with running(answer_all) as (server, port), transport_to(port, connections=3) as transport:
        answers = await asyncio.gather(*(transport.post({}, b"", 5) for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert server.connections == 3


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    """Its end was noticed while it lay idle; the next request opens a new one."""
    async with running(answer_once) as (server, port), transport_to(port) as transport:
        for _ in range(3):
            await transport.post({}, b"", 5)
            await until_none_is_idle(transport)
    assert server.connections == 3


async def test_a_connection_that_lay_idle_too_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be about to close it: a request sent into that would be lost."""
    monkeypatch.setattr(http_pool, "IDLE_SECONDS", -1.0)
    async with running(answer_all) as (server, port), transport_to(port) as transport:
        for _ in range(2):
            await transport.post({}, b"", 5)
    assert server.connections == 2


async def test_a_late_answer_reaches_nobody_else() -> None:
    """A request that was given up takes its connection with it."""
    async with running(say_nothing) as (server, port), transport_to(port, connections=1) as transport:
        for _ in range(2):
            server.left.clear()
            server.asked.clear()
            asking = asyncio.create_task(transport.post({}, b"", 5), name="asking")
            await server.asked.wait()
            asking.cancel()
            await server.left.wait()
    assert server.connections == 2


async def test_a_request_has_a_deadline() -> None:
    """A server that says nothing is given up, and so is the wait for a connection that such a server holds."""
    async with running(say_nothing) as (server, port), transport_to(port, connections=1) as transport:
        asking = [transport.post({}, b"", 0.05) for _ in range(3)]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 3
    assert server.connections == 1


async def test_a_server_that_hangs_up_is_an_error() -> None:
    """The request may have been done or not: its maker decides."""

    async def hang_up(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    async with running(hang_up) as (_, port), transport_to(port) as transport:
        with pytest.raises(ConnectionError):
            await transport.post({}, b"", 5)


async def test_nobody_there_is_an_error() -> None:
    """Refused, and refused again: no place is lost by it."""
    async with running(answer_all) as (_, port):
        pass
    async with transport_to(port, connections=1) as transport:
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011 – asyncio and uvloop word it differently
                await transport.post({}, b"", 5)


async def test_a_name_is_looked_up_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four polls that connect at once ask once; after a connection that failed the name is looked up anew."""
    async with running(answer_all) as (_, port), transport_to(port, connections=64) as transport:
        asked: list[object] = []
        look_up = transport._look_up

        async def counted() -> object:
            asked.append(None)
            return await look_up()

        monkeypatch.setattr(transport, "_look_up", counted)
        await asyncio.gather(*(transport.post({}, b"", 5) for _ in range(64)))
        assert len(asked) == 1
    with pytest.raises(OSError):  # noqa: PT011 – asyncio and uvloop word it differently
        await _post_anew(transport)
    with pytest.raises(OSError):  # noqa: PT011 – the same
        await _post_anew(transport)
    assert len(asked) == 2


async def _post_anew(transport: DirectTransport) -> None:
    """Over a connection that is not there yet."""
    await transport.close()
    await transport.post({}, b"", 5)


async def test_an_address_that_does_not_answer_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with several addresses, the first of which leads nowhere: the next one is taken."""
    async with running(answer_all) as (_, port), transport_to(port) as transport:
        closed = socket.create_server(("127.0.0.1", 0))
        nowhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", closed.getsockname())
        closed.close()
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

        async def both(*_args: object, **_options: object) -> list[object]:
            return [nowhere, here]

        monkeypatch.setattr(transport, "_look_up", both)
        assert (await transport.post({}, b"", 5)).status == 200


async def test_a_network_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says where to, and for how long."""

    async def never(*_args: object, **_options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(http_pool, "CONNECT_TIMEOUT_SECONDS", 0.01)
    async with transport_to(9) as transport:
        monkeypatch.setattr(transport, "_open_connection", never)
        with pytest.raises(ConnectionError, match=r"no connection to 127.0.0.1:9 within 0.01 s"):
            await transport.post({}, b"", 5)


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_server_proves_who_it_is(*, is_known: bool) -> None:
    """Under TLS a certificate of an authority we know for the name we asked for, or no request is sent."""
    authority, stranger = trustme.CA(), trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(served)
    trusted = ssl.create_default_context()
    (authority if is_known else stranger).configure_trust(trusted)
    async with running(answer_all, served) as (server, port):
        transport = DirectTransport(origin_of(urlsplit(f"https://localhost:{port}"), trusted), 1)
        if is_known:
            assert (await transport.post({}, b"", 5)).status == 200
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                await transport.post({}, b"", 5)
            assert not server.requests
        await transport.close()


def test_an_origin_is_read_off_its_url() -> None:
    """The scheme's own ports; TLS where it says https, verified by the system's authorities unless told otherwise."""
    assert origin_of(urlsplit("http://queue.example"), None) == Origin("queue.example", 80, None)
    assert origin_of(urlsplit("http://[::1]:4566/"), None) == Origin("::1", 4566, None)
    secure = origin_of(urlsplit("https://sqs.eu-west-1.amazonaws.com"), None)
    assert secure.port == 443
    assert secure.tls is not None
    assert secure.tls.verify_mode is ssl.CERT_REQUIRED
