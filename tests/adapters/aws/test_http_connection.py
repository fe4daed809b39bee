"""One HTTP connection: whatever the pieces an answer comes in, it is one value or one error."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.aws import http_connection
from subscriber.adapters.aws.http_connection import HttpAnswer, HttpConnection

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
PRECEDED = b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + SIZED


class Wire(asyncio.Transport):
    """The transport's side of a connection: remembers what was written, and whether it was dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.dropped = False

    def write(self, data: Any) -> None:
        """As a transport does."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """As a transport does."""
        return self.dropped

    def abort(self) -> None:
        """As a transport does."""
        self.dropped = True


def connected() -> tuple[HttpConnection, Wire]:
    """A connection over a wire."""
    connection, wire = HttpConnection(asyncio.get_running_loop()), Wire()
    connection.connection_made(wire)
    return connection, wire


async def answer_to(connection: HttpConnection, pieces: list[bytes]) -> HttpAnswer:
    """What a request is answered, when the answer comes in these pieces."""
    asking = asyncio.create_task(connection.ask(b"request", math.inf), name="asking")
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    return await asking


@given(st.sampled_from([SIZED, CHUNKED, PRECEDED]), st.sets(st.integers(1, 200), max_size=6))
def test_an_answer_is_the_same_however_it_is_cut(whole: bytes, cuts: set[int]) -> None:
    """TCP keeps no borders: every cutting of the bytes gives the same answer, and the connection can go on."""
    at = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(at)]

    async def twice() -> list[HttpAnswer]:
        connection, wire = connected()
        answers = [await answer_to(connection, pieces) for _ in range(2)]
        assert wire.written == [b"request", b"request"]
        assert connection.is_open
        return answers

    for answer in asyncio.run(twice()):
        assert (answer.status, answer.content) == (200, b"hello world")


async def test_a_header_is_found_in_any_spelling() -> None:
    """HTTP does not tell capitals from small letters."""
    answer = await answer_to(connected()[0], [SIZED])
    assert answer.header("content-TYPE") == "text/plain"
    assert not answer.header("date")


async def test_a_server_that_says_close_is_not_asked_again() -> None:
    """Connection: close is kept."""
    connection, wire = connected()
    await answer_to(connection, [SIZED.replace(b"Content-Type: text/plain", b"Connection: close")])
    assert wire.dropped
    with pytest.raises(ConnectionError):
        await connection.ask(b"again", math.inf)


async def test_what_is_not_http_is_an_error_and_ends_the_connection() -> None:
    """A TLS alert, a banner, a broken length."""
    connection, wire = connected()
    with pytest.raises(ConnectionError, match="not HTTP"):
        await answer_to(connection, [b"SSH-2.0-OpenSSH_9.2p1\r\n"])
    assert wire.dropped


async def test_an_answer_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops talking cannot fill the memory; each answer is counted by itself."""
    monkeypatch.setattr(http_connection, "ANSWER_BYTES_AT_MOST", len(SIZED))
    connection, wire = connected()
    for _ in range(3):
        await answer_to(connection, [SIZED])
    with pytest.raises(ConnectionError, match="more than"):
        await answer_to(connection, [SIZED[:-1], b"d!"])
    assert wire.dropped


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    """A load balancer's 408 on an idle connection must not become the answer to the next request."""
    connection, wire = connected()
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert wire.dropped


async def test_an_answer_too_many_ends_the_connection() -> None:
    """A second answer in the same breath, whole or begun: the next request must not get it."""
    for more in (SIZED, SIZED[:20]):
        connection, wire = connected()
        assert (await answer_to(connection, [SIZED + more])).content == b"hello world"
        assert wire.dropped


async def test_a_connection_lost_half_way_is_an_error() -> None:
    """And nothing of the half is given to anyone."""
    connection, _ = connected()
    asking = asyncio.create_task(connection.ask(b"request", math.inf), name="asking")
    await asyncio.sleep(0)
    connection.data_received(SIZED[:-3])
    connection.connection_lost(None)
    with pytest.raises(ConnectionError, match="hung up"):
        await asking
    assert not connection.is_open
