"""The stream over a real socket: its events, its bounds, its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from subscriber.admin import live
from subscriber.admin.live import LiveFeed
from subscriber.admin.live_snapshot import Facts
from subscriber.admin.server import AdminServer
from tests.admin.live_samples import FACTS, QUEUE


class Source:
    """Counts how often the facts are gathered."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Facts:
        """The facts of now."""
        self.calls += 1
        return FACTS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the feed takes a hundredth."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.01)


@asynccontextmanager
async def serving(feed: LiveFeed) -> AsyncIterator[str]:
    """The server with the feed; yields the address of the stream."""
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), dict, feed.routes())
    await server.start()
    try:
        async with feed:
            yield f"http://127.0.0.1:{server.port}/v1/live"
    finally:
        await server.stop()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the feed has no event for it
            await asyncio.sleep(0)


async def event(answer: aiohttp.ClientResponse) -> tuple[str, Any]:
    """Name and content of the next event."""
    async with asyncio.timeout(30):
        while not (line := await answer.content.readline()).startswith(b"event: "):
            assert line, "the stream has ended"
        data = await answer.content.readline()
    assert data.startswith(b"data: ")
    return line[7:].decode().strip(), json.loads(data[6:])


async def test_a_viewer_gets_the_history_and_then_snapshots() -> None:
    """At once, without waiting for the next second; a history comes again with each sample."""
    async with serving(LiveFeed(Source())) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        (first, samples), (second, snapshot) = await event(answer), await event(answer)
        assert (first, second) == ("history", "snapshot")
        assert samples[0]["received_per_second"] == {QUEUE: 812.4}
        assert snapshot["notices"][0]["level"] == "good"
        assert snapshot["queues"][0]["waiting_messages"] == 1_200
        names = [(await event(answer))[0] for _ in range(12)]
        assert names.count("history") == 2


async def test_viewers_share_each_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five viewers cost one gathering of facts a second, and one for the first event of each."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 3_600)
    source = Source()
    feed = LiveFeed(source)
    async with serving(feed) as url, aiohttp.ClientSession() as session:
        answers = [await session.get(url) for _ in range(5)]
        for answer in answers:
            assert [(await event(answer))[0] for _ in range(2)] == ["history", "snapshot"]
        before = source.calls
        feed._tick(source(), is_sampled=False)
        assert [(await event(answer))[0] for answer in answers] == ["snapshot"] * 5
        assert (before, source.calls) == (6, 7)
        for answer in answers:
            answer.close()


async def test_without_viewers_only_the_history_is_sampled() -> None:
    """One of five seconds, and at most five minutes are kept."""
    source = Source()
    feed = LiveFeed(source)
    async with feed:
        await until(lambda: source.calls >= 70)
        assert len(feed._samples) == live.SAMPLES_KEPT


async def test_one_viewer_too_many_is_rejected_and_a_place_becomes_free() -> None:
    """A viewer who leaves is noticed by the next write."""
    feed = LiveFeed(Source(), viewers_at_most=1)
    async with serving(feed) as url, aiohttp.ClientSession() as session:
        first = await session.get(url)
        async with session.get(url) as answer:
            assert (answer.status, await answer.text()) == (503, "1 viewers are watching, which is the most\n")
        first.close()
        await until(lambda: not feed.viewers)
        again = await session.get(url)
        assert again.status == 200
        again.close()


async def test_a_viewer_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers fill, and after a while its connection is given up."""
    monkeypatch.setattr(live, "SLOW_VIEWER_SECONDS", 0.05)
    monkeypatch.setattr(live, "_event", lambda _name, _content: b"x" * 4_000_000)
    feed = LiveFeed(Source())
    async with serving(feed) as url:
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]), limit=1)
        writer.write(b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: feed.viewers == 1)
        await until(lambda: feed.viewers == 0)
        writer.close()


async def test_the_end_of_the_daemon_ends_the_stream() -> None:
    """At once; a later request is told that the daemon stops."""
    feed = LiveFeed(Source())
    server = AdminServer("127.0.0.1", 0, CollectorRegistry(), dict, feed.routes())
    await server.start()
    url = f"http://127.0.0.1:{server.port}/v1/live"
    async with aiohttp.ClientSession() as session:
        async with feed:
            answer = await session.get(url)
        async with asyncio.timeout(30):
            await answer.read()
        answer.close()
        async with session.get(url) as late:
            assert late.status == 503
    await server.stop()
