"""One HTTP connection: a response, in any fragments, becomes one value or one error."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.aws import http_connection
from subscriber.adapters.aws.http_connection import HttpConnection, HttpResponse

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
PRECEDED = b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + SIZED


class FakeTransport(asyncio.Transport):
    """Records what was written, and whether the connection was aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        """See asyncio.Transport."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """See asyncio.Transport."""
        return self.aborted

    def abort(self) -> None:
        """See asyncio.Transport."""
        self.aborted = True


def connected() -> tuple[HttpConnection, FakeTransport]:
    """A connection and its transport."""
    connection, transport = HttpConnection(asyncio.get_running_loop()), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


async def response_to(connection: HttpConnection, pieces: list[bytes]) -> HttpResponse:
    """The response to a request, if it arrives in these pieces."""
    exchanging = asyncio.create_task(connection.exchange(b"request", math.inf), name="exchange")
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    return await exchanging


@given(st.sampled_from([SIZED, CHUNKED, PRECEDED]), st.sets(st.integers(1, 200), max_size=6))
def test_a_fragmented_response_is_reassembled(whole: bytes, cuts: set[int]) -> None:
    """Any fragmentation gives the same response, and the connection stays usable."""
    at = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(at)]

    async def twice() -> list[HttpResponse]:
        connection, transport = connected()
        responses = [await response_to(connection, pieces) for _ in range(2)]
        assert transport.written == [b"request", b"request"]
        assert connection.is_open
        return responses

    for response in asyncio.run(twice()):
        assert (response.status, response.content) == (200, b"hello world")


async def test_header_names_are_case_insensitive() -> None:
    """Header names are case-insensitive."""
    response = await response_to(connected()[0], [SIZED])
    assert response.header("content-TYPE") == "text/plain"
    assert not response.header("date")


async def test_connection_close_is_honored() -> None:
    """`Connection: close` is honored."""
    connection, transport = connected()
    await response_to(connection, [SIZED.replace(b"Content-Type: text/plain", b"Connection: close")])
    assert transport.aborted
    with pytest.raises(ConnectionError):
        await connection.exchange(b"again", math.inf)


async def test_a_non_http_response_is_an_error() -> None:
    """For example a banner of another protocol."""
    connection, transport = connected()
    with pytest.raises(ConnectionError, match="not HTTP"):
        await response_to(connection, [b"SSH-2.0-OpenSSH_9.2p1\r\n"])
    assert transport.aborted


async def test_the_size_of_a_response_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless response cannot exhaust the memory; each response is measured on its own."""
    monkeypatch.setattr(http_connection, "RESPONSE_BYTES_AT_MOST", len(SIZED))
    connection, transport = connected()
    for _ in range(3):
        await response_to(connection, [SIZED])
    with pytest.raises(ConnectionError, match="more than"):
        await response_to(connection, [SIZED[:-1], b"d!"])
    assert transport.aborted


async def test_an_unsolicited_response_ends_the_connection() -> None:
    """A load balancer's 408 on an idle connection must not become the response to the next request."""
    connection, transport = connected()
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert transport.aborted


async def test_an_extra_response_ends_the_connection() -> None:
    """A second response in the same read, complete or partial, must not response the next request."""
    for more in (SIZED, SIZED[:20]):
        connection, transport = connected()
        assert (await response_to(connection, [SIZED + more])).content == b"hello world"
        assert transport.aborted


async def test_a_truncated_response_is_an_error() -> None:
    """The partial response is discarded."""
    connection, _ = connected()
    exchanging = asyncio.create_task(connection.exchange(b"request", math.inf), name="exchange")
    await asyncio.sleep(0)
    connection.data_received(SIZED[:-3])
    connection.connection_lost(None)
    with pytest.raises(ConnectionError, match="closed the connection"):
        await exchanging
    assert not connection.is_open
