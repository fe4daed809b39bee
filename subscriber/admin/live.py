"""The stream of the live page: one snapshot a second for all viewers, made only while somebody watches.

`GET /v1/live` is a stream of Server-Sent Events (WHATWG HTML, section 9.2): `history` with the last five minutes, first
and every five seconds, and `snapshot` every second. Like `/control` it contains no secret and needs no token.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from subscriber.admin.live_snapshot import Facts, snapshot_of

VIEWERS_AT_MOST = 32
"""Half of the connections of the server, so that probes and scrapers always have theirs."""

PERIOD_SECONDS = 1.0
SAMPLE_SECONDS = 5
SAMPLES_KEPT = 60
"""Five minutes of samples."""

SLOW_VIEWER_SECONDS = 5.0
"""A viewer whose connection takes no bytes for so long is dropped."""

_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY = b"retry: 2000\n\n"


class Sample(msgspec.Struct, frozen=True):
    """The figures that have a history."""

    lag_seconds: float
    rows_per_second: float
    received_per_second: dict[str, float]
    """By the name of the queue."""


class LiveFeed:
    """Samples the history and serves the viewers; a context manager that runs its task.

    Args:
        facts: gathers the facts of now; it must not block.
        viewers_at_most: how many may watch; one more is answered 503.
    """

    def __init__(self, facts: Callable[[], Facts], *, viewers_at_most: int = VIEWERS_AT_MOST) -> None:
        self._facts = facts
        self._viewers_at_most = viewers_at_most
        self._viewers = 0
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._next: asyncio.Future[bytes | None] | None = None
        """The bytes of the coming second; None ends the stream."""
        self._task: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return self._viewers

    async def __aenter__(self) -> Self:
        self._next = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="live page")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        coming, self._next = self._next, None
        if coming is not None:
            coming.set_result(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def routes(self) -> tuple[web.RouteDef, ...]:
        """The routes, for the server to add to its own."""
        return (web.get("/v1/live", self._stream, allow_head=False),)

    async def _run(self) -> None:
        second = 0
        while True:
            is_sampled = second % SAMPLE_SECONDS == 0
            if is_sampled or self._viewers:
                self._tick(self._facts(), is_sampled=is_sampled)
            second += 1
            await asyncio.sleep(PERIOD_SECONDS)

    def _tick(self, facts: Facts, *, is_sampled: bool) -> None:
        if is_sampled:
            self._samples.append(_sample_of(facts))
        if self._viewers and self._next is not None:
            coming, self._next = self._next, asyncio.get_running_loop().create_future()
            coming.set_result((self._history() if is_sampled else b"") + _event("snapshot", snapshot_of(facts)))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._next is None:
            return web.Response(status=503, text="the daemon is stopping\n")
        if self._viewers >= self._viewers_at_most:
            return web.Response(status=503, text=f"{self._viewers_at_most} viewers are watching, which is the most\n")
        self._viewers += 1
        try:
            response = web.StreamResponse(headers=_HEADERS)
            await response.prepare(request)
            with suppress(TimeoutError, ConnectionError):  # the viewer has left, or does not read
                await self._send_all(response)
            return response
        finally:
            self._viewers -= 1

    async def _send_all(self, response: web.StreamResponse) -> None:
        data: bytes | None = _RETRY + self._history() + _event("snapshot", snapshot_of(self._facts()))
        while data is not None:
            coming = self._next  # before the write: what is published meanwhile is sent next, older ones are skipped
            async with asyncio.timeout(SLOW_VIEWER_SECONDS):
                await response.write(data)
            if coming is None:
                return
            await asyncio.wait([coming])
            data = coming.result()

    def _history(self) -> bytes:
        return _event("history", list(self._samples))


def _sample_of(facts: Facts) -> Sample:
    reading = facts.status.reading if facts.status else None
    return Sample(
        lag_seconds=round(reading.lag_seconds, 3) if reading else 0.0,
        rows_per_second=round(reading.rows_per_second, 1) if reading else 0.0,
        received_per_second={name: queue.received_per_second for name, queue in facts.queues.items()},
    )


def _event(name: str, content: object) -> bytes:
    """One event; JSON has no line break of its own."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(content))
