"""The local pages, asked over a real socket on loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from subscriber.admin.server import Pages
from subscriber.errors import ConfigurationError


class Pipeline:
    """What the pages ask: its conditions are set by the test."""

    def __init__(self) -> None:
        self.conditions: Mapping[str, bool] = {"database": True, "queue": True}

    def readiness(self) -> Mapping[str, bool]:
        """The conditions as they are now."""
        return self.conditions


@pytest.fixture
def line() -> Pipeline:
    """A line that is ready."""
    return Pipeline()


@pytest.fixture
async def pages(line: Pipeline) -> AsyncIterator[Pages]:
    """Pages on a free port, with one metric and a page of somebody else."""
    registry = CollectorRegistry()
    Gauge("subscriber_in_hand_messages", "Messages held.", registry=registry).set(7)

    async def control(_request: web.Request) -> web.Response:
        return web.json_response({})

    served = Pages("127.0.0.1", 0, registry, line.readiness, [web.get("/control", control)])
    await served.start()
    yield served
    await served.stop()


async def get(pages: Pages, path: str) -> tuple[int, str, str]:
    """Status, content type and text of one page."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{pages.port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_livez_answers(pages: Pages, line: Pipeline) -> None:
    """Alive is whoever answers, ready or not."""
    line.conditions = {"database": False}
    assert await get(pages, "/livez") == (200, "text/plain; charset=utf-8", "alive\n")


async def test_readyz_follows_the_conditions(pages: Pages, line: Pipeline) -> None:
    """Ready is 200 while every condition holds, else 503, and the body names each of them."""
    assert await get(pages, "/readyz") == (
        200,
        "application/json; charset=utf-8",
        '{"ready": true, "conditions": {"database": true, "queue": true}}',
    )
    line.conditions = {"database": False, "queue": True}
    status, _, text = await get(pages, "/readyz")
    assert (status, text) == (503, '{"ready": false, "conditions": {"database": false, "queue": true}}')


async def test_metrics_are_in_the_text_format(pages: Pages) -> None:
    """The registry that was given is shown, in Prometheus' text format with its version."""
    status, content_type, text = await get(pages, "/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert text.splitlines() == [
        "# HELP subscriber_in_hand_messages Messages held.",
        "# TYPE subscriber_in_hand_messages gauge",
        "subscriber_in_hand_messages 7.0",
    ]


async def test_front_page_links_to_pages_that_exist(pages: Pages) -> None:
    """Every link of the front page leads to a page, relative to where a proxy may have put it."""
    status, content_type, text = await get(pages, "/")
    assert (status, content_type) == (200, "text/html; charset=utf-8")
    links = [part.partition('"')[0] for part in text.split('href="')[1:]]
    assert links == ["livez", "readyz", "metrics", "control"]
    assert [(await get(pages, f"/{link}"))[0] for link in links] == [200, 200, 200, 200]


async def test_asking_is_not_logged(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    """A probe every few seconds leaves no trace in the log."""
    caplog.set_level(logging.DEBUG)
    await get(pages, "/livez")
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_port_in_use_is_one_clear_line(pages: Pages, line: Pipeline) -> None:
    """A taken port is a mistake of configuration that names the settings, and leaves nothing open."""
    second = Pages("127.0.0.1", pages.port, CollectorRegistry(), line.readiness)
    with pytest.raises(ConfigurationError) as refusal:
        await second.start()
    assert str(refusal.value).startswith(
        f"cannot listen on SUBSCRIBER_HTTP_HOST 127.0.0.1, SUBSCRIBER_HTTP_PORT {pages.port}: "
    )
    assert "in use" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    await second.stop()


async def test_foreign_address_is_refused_clearly(line: Pipeline) -> None:
    """An address that is not this machine's is a mistake of configuration too."""
    with pytest.raises(ConfigurationError, match=r"SUBSCRIBER_HTTP_HOST 192\.0\.2\.1"):
        await Pages("192.0.2.1", 0, CollectorRegistry(), line.readiness).start()


async def test_interrupted_start_leaves_nothing_open(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is cancelled the moment it listens gives the port back."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    start = web.TCPSite.start

    async def start_and_linger(site: web.TCPSite) -> None:
        await start(site)
        listening.set_result(site._runner.addresses[0][1])
        await asyncio.Event().wait()

    monkeypatch.setattr(web.TCPSite, "start", start_and_linger)
    starting = asyncio.create_task(Pages("127.0.0.1", 0, CollectorRegistry(), line.readiness).start(), name="starting")
    port = await listening
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stop_frees_the_port(line: Pipeline) -> None:
    """After a stop nobody listens, the port can be had again, and a second stop has no effect."""
    pages = Pages("127.0.0.1", 0, CollectorRegistry(), line.readiness)
    await pages.start()
    port = pages.port
    await pages.stop()
    await pages.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stop_does_not_wait_for_an_idle_reader(line: Pipeline) -> None:
    """A probe that keeps its connection open does not hold up the stop."""
    pages = Pages("127.0.0.1", 0, CollectorRegistry(), line.readiness)
    await pages.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(5):
        await pages.stop()
        await reader.read()
    writer.close()


async def test_stop_does_not_wait_for_a_reader_that_does_not_read(
    line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that nobody takes off the socket holds up the stop for its grace and no longer."""
    monkeypatch.setattr("subscriber.admin.server._GRACE_SECONDS", 0.01)
    registry = CollectorRegistry()
    Gauge("subscriber_large", "x" * 32_000_000, registry=registry)
    pages = Pages("127.0.0.1", 0, registry, line.readiness)
    await pages.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(5):
        await pages.stop()
    writer.close()
