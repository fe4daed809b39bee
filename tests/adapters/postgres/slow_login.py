"""A TCP proxy in front of a database whose connections take long to begin and are quick then, as slow logins are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from benchmarks.chaos.proxy import Network
from testkit.latency_proxy import HOST


@asynccontextmanager
async def slow_login(target_port: int, seconds: float) -> AsyncIterator[Network]:
    """Run the proxy while the block runs; its `port` leads to the target."""
    made = Network(target_port)

    ended = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()
        with suppress(asyncio.CancelledError):  # at the end, by close()
            await made.relay(reader, writer)

    server = await asyncio.start_server(relay, HOST, 0)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        ended.set()
        await made.close()
