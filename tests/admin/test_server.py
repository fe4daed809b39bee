"""The HTTP server, over a real socket on loopback."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from subscriber.admin.server import AdminServer
from subscriber.errors import ConfigurationError


class Pipeline:
    """The source of readiness: the test sets its conditions."""

    def __init__(self) -> None:
        self.conditions: Mapping[str, bool] = {"database": True, "queue": True}

    def readiness(self) -> Mapping[str, bool]:
        """The conditions as they are now."""
        return self.conditions


@pytest.fixture
def pipeline() -> Pipeline:
    """A pipeline that is ready."""
    return Pipeline()


@pytest.fixture
async def server(pipeline: Pipeline) -> AsyncIterator[AdminServer]:
    """The server on a free port, with one metric and one added route."""
    registry = CollectorRegistry()
    Gauge("subscriber_held_messages", "Messages held.", registry=registry).set(7)

    async def control(_request: web.Request) -> web.Response:
        return web.json_response({})

    served = AdminServer("127.0.0.1", 0, registry, pipeline.readiness, [web.get("/control", control)])
    await served.start()
    yield served
    await served.stop()


async def get(server: AdminServer, path: str) -> tuple[int, str, str]:
    """Status, content type and text of one page."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_livez_answers(server: AdminServer, pipeline: Pipeline) -> None:
    """Alive means that it answers, ready or not."""
    pipeline.conditions = {"database": False}
    assert await get(server, "/livez") == (200, "text/plain; charset=utf-8", "alive\n")


async def test_readyz_follows_the_conditions(server: AdminServer, pipeline: Pipeline) -> None:
    """Ready is 200 while every condition holds, else 503, and the body names each of them."""
    assert await get(server, "/readyz") == (
        200,
        "application/json; charset=utf-8",
        '{"ready": true, "conditions": {"database": true, "queue": true}}\n',
    )
    pipeline.conditions = {"database": False, "queue": True}
    status, _, text = await get(server, "/readyz")
    assert (status, text) == (503, '{"ready": false, "conditions": {"database": false, "queue": true}}\n')


async def test_metrics_are_in_the_text_format(server: AdminServer) -> None:
    """Those of the given registry, in Prometheus' text format with its version."""
    status, content_type, text = await get(server, "/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert text.splitlines() == [
        "# HELP subscriber_held_messages Messages held.",
        "# TYPE subscriber_held_messages gauge",
        "subscriber_held_messages 7.0",
    ]


async def test_front_page_links_to_pages_that_exist(server: AdminServer) -> None:
    """Every link of the front page leads to a page, and is relative, so that a proxy may add a prefix."""
    url = f"http://127.0.0.1:{server.port}/"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": "text/html"}) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        text = await response.text()
    links = [part.partition('"')[0] for part in text.split('<a href="')[1:]]
    assert links == ["livez", "readyz", "metrics", "control"]
    assert [(await get(server, f"/{link}"))[0] for link in links] == [200, 200, 200, 200]


async def test_front_page_of_curl_is_a_list_in_text(server: AdminServer) -> None:
    """A client that does not ask for HTML reads what exists, line by line."""
    status, content_type, text = await get(server, "/")
    assert (status, content_type) == (200, "text/plain; charset=utf-8")
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        "/",
        "/v1/live",
        "/livez",
        "/readyz",
        "/metrics",
        "/control",
    ]


async def test_requests_are_not_logged(server: AdminServer, caplog: pytest.LogCaptureFixture) -> None:
    """A probe every few seconds leaves no trace in the log."""
    caplog.set_level(logging.DEBUG)
    await get(server, "/livez")
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_port_in_use_is_one_clear_line(server: AdminServer, pipeline: Pipeline) -> None:
    """It is a configuration error that names the settings, and leaves nothing open."""
    second = AdminServer("127.0.0.1", server.port, CollectorRegistry(), pipeline.readiness)
    with pytest.raises(ConfigurationError) as error:
        await second.start()
    assert str(error.value).startswith(
        f"cannot listen on SUBSCRIBER_HTTP_HOST 127.0.0.1, SUBSCRIBER_HTTP_PORT {server.port}: "
    )
    assert "in use" in str(error.value)
    assert "\n" not in str(error.value)
    await second.stop()


async def test_an_address_of_another_machine_is_a_clear_error(pipeline: Pipeline) -> None:
    """It is a configuration error too."""
    with pytest.raises(ConfigurationError, match=r"SUBSCRIBER_HTTP_HOST 192\.0\.2\.1"):
        await AdminServer("192.0.2.1", 0, CollectorRegistry(), pipeline.readiness).start()


async def test_a_name_that_dns_cannot_have_is_a_clear_error(pipeline: Pipeline) -> None:
    """It is a configuration error too, on one line."""
    with pytest.raises(ConfigurationError, match=r"SUBSCRIBER_HTTP_HOST a\.\.b, SUBSCRIBER_HTTP_PORT 0: "):
        await AdminServer("a..b", 0, CollectorRegistry(), pipeline.readiness).start()


async def test_every_address_is_served_in_both_families(pipeline: Pipeline) -> None:
    """`::` answers over IPv6 and over IPv4, on one port; the health check asks either."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = AdminServer("::", 0, CollectorRegistry(), pipeline.readiness)
    await server.start()
    try:
        for host in ("[::1]", "127.0.0.1"):
            async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{server.port}/livez") as answer:
                assert await answer.text() == "alive\n"
    finally:
        await server.stop()


async def test_interrupted_start_leaves_nothing_open(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is cancelled as soon as it listens frees the port."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    bind = AdminServer._bind

    async def bind_and_linger(server: AdminServer, runner: web.AppRunner) -> asyncio.Server:
        listener = await bind(server, runner)
        start_serving = listener.start_serving

        async def start_and_linger() -> None:
            await start_serving()
            listening.set_result(listener.sockets[0].getsockname()[1])
            await asyncio.Event().wait()

        return cast("asyncio.Server", Lingering(listener, start_and_linger))

    monkeypatch.setattr(AdminServer, "_bind", bind_and_linger)
    starting = asyncio.create_task(
        AdminServer("127.0.0.1", 0, CollectorRegistry(), pipeline.readiness).start(), name="starting"
    )
    port = await listening
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


class Lingering:
    """A server whose start takes long."""

    def __init__(self, listener: asyncio.Server, start_serving: Callable[[], Awaitable[None]]) -> None:
        self.sockets = listener.sockets
        self.close = listener.close
        self.start_serving = start_serving


async def test_stop_frees_the_port(pipeline: Pipeline) -> None:
    """After a stop the port is free, and a second stop has no effect."""
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), pipeline.readiness)
    await server.start()
    port = server.port
    await server.stop()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stop_does_not_wait_for_an_idle_reader(pipeline: Pipeline) -> None:
    """A probe that keeps its connection open does not delay the stop."""
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), pipeline.readiness)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(60):
        await server.stop()
        await reader.read()
    writer.close()


async def test_stop_does_not_wait_for_a_reader_that_does_not_read(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response that no client reads delays the stop for its grace period only."""
    monkeypatch.setattr("subscriber.admin.server._GRACE_SECONDS", 0.01)
    registry = CollectorRegistry()
    Gauge("subscriber_large", "x" * 32_000_000, registry=registry)
    server = AdminServer("127.0.0.1", 0, registry, pipeline.readiness)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(60):
        await server.stop()
    writer.close()
