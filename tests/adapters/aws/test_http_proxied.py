"""Requests through a proxy: the same bytes and the same kinds of errors."""

from __future__ import annotations

import pytest

from subscriber.adapters.aws.http_pool import Origin, ProxiedTransport
from tests.adapters.aws.scripted_server import answer_all, running


async def test_a_proxy_gets_the_absolute_url() -> None:
    """Plain HTTP through a proxy uses the absolute URL."""
    async with running(answer_all) as (proxy, port):
        transport = ProxiedTransport(Origin("queue.example", 80, None), 1, f"http://127.0.0.1:{port}")
        answer = await transport.post({"host": "queue.example", "x-amz-target": "t"}, b"body", 5)
        await transport.close()
    assert (answer.status, answer.content) == (200, b"{}")
    assert proxy.requests[0].startswith(b"POST http://queue.example/ HTTP/1.1\r\n")


async def test_a_proxy_gets_a_reads_target_unchanged() -> None:
    """The query is signed as it is spelled, so nothing may spell it anew."""
    async with running(answer_all) as (proxy, port):
        transport = ProxiedTransport(Origin("store.example", 80, None), 1, f"http://127.0.0.1:{port}")
        await transport.get("/lake?key-marker=a%2Fb%20%7E%C3%A9&versions=", {"host": "store.example"}, 5)
        await transport.close()
    line = b"GET http://store.example/lake?key-marker=a%2Fb%20%7E%C3%A9&versions= HTTP/1.1\r\n"
    assert proxy.requests[0].startswith(line)


async def test_a_proxy_gets_an_object_under_its_own_path() -> None:
    """Dots and slashes of a key are signed as they are, so nothing may resolve them."""
    async with running(answer_all) as (proxy, port):
        transport = ProxiedTransport(Origin("store.example", 80, None), 1, f"http://127.0.0.1:{port}")
        await transport.put("/lake/a//../b%20c", {"host": "store.example"}, b"body", 5)
        await transport.close()
    assert proxy.requests[0].startswith(b"PUT http://store.example/lake/a//../b%20c HTTP/1.1\r\n")
    assert b"Content-Length: 4\r\n" in proxy.requests[0]
    assert proxy.requests[0].endswith(b"\r\n\r\nbody")


async def test_an_unreachable_proxy_is_an_error() -> None:
    """It is an OSError, like every network failure."""
    async with running(answer_all) as (_, port):
        pass
    transport = ProxiedTransport(Origin("queue.example", 80, None), 1, f"http://127.0.0.1:{port}")
    with pytest.raises(OSError):  # noqa: PT011 – the text is aiohttp's
        await transport.post({}, b"", 5)
    await transport.close()
