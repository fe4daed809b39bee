"""Faults of the HTTP server's clients: they keep connections open and say nearly nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.supervisor import Supervised
from testkit.latency_proxy import HOST
from testkit.process import ProcessError

SLOW_CLIENTS: Final = 200
"""Three times as many as the server holds connections."""
PAGES: Final = ("/readyz", "/metrics")
ANSWER_SECONDS: Final = 5.0
"""How long a health check usually waits (Amazon ECS developer guide, "Health check timeout")."""
_BEGINNING = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_BYTE_SECONDS = (0.1, 1.0)
_RECONNECT_SECONDS = (0.2, 1.0)
_BETWEEN_SECONDS = 0.2


@asynccontextmanager
async def slowloris(context: RunContext) -> AsyncIterator[None]:
    """200 clients of the HTTP server send a byte now and then; /readyz and /metrics still answer within 5 s."""
    daemon = context.random_daemon()
    tasks = [
        asyncio.create_task(_ask_slowly(daemon, Random(context.random.random())), name="slow client")
        for _ in range(SLOW_CLIENTS)
    ]
    tasks.append(asyncio.create_task(_ask_pages(context, daemon), name="health checks"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answered(port: int, path: str) -> bool:
    """Whether a new connection gets a whole answer, whatever its status."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).startswith(b"HTTP/1.1 ")
    finally:
        writer.transport.abort()


async def _ask_slowly(daemon: Supervised, random: Random) -> None:
    while True:
        with suppress(OSError, ProcessError):
            await _send_slowly(daemon.http_port(), random)
        await asyncio.sleep(random.uniform(*_RECONNECT_SECONDS))


async def _send_slowly(port: int, random: Random) -> None:
    """Sends the beginning of a request byte by byte, until the server closes the connection."""
    _, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(_BEGINNING)
        while not writer.transport.is_closing():
            await asyncio.sleep(random.uniform(*_BYTE_SECONDS))
            writer.write(b"x")
    finally:
        writer.transport.abort()


async def _ask_pages(context: RunContext, daemon: Supervised) -> None:
    """Asks for the pages in turn; an error ends it."""
    while True:
        for path in PAGES:
            if not await _is_answered_in_time(daemon, path):
                context.error(f"{path} did not answer within {ANSWER_SECONDS:g} s")
                return
        await asyncio.sleep(_BETWEEN_SECONDS)


async def _is_answered_in_time(daemon: Supervised, path: str) -> bool:
    began = time.monotonic()
    while not await _is_answered(daemon, path):
        if time.monotonic() - began > ANSWER_SECONDS:
            return False
        await asyncio.sleep(_BETWEEN_SECONDS / 4)
    return True


async def _is_answered(daemon: Supervised, path: str) -> bool:
    with suppress(OSError, ProcessError):  # TimeoutError is an OSError
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answered(daemon.http_port(), path)
    return False
