"""A TCP proxy to a port of this machine that can fall silent: it takes everything, forwards nothing, closes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_READ_BYTES = 262_144


class SilentNetwork:
    """Made by `silent_network`; listens on a port of its own."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._relays: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0
        """Made so far."""

    def fall_silent(self) -> None:
        """Forward nothing more, in either direction; new connections are made, and silent too."""
        self._speaks.clear()

    def speak(self) -> None:
        """Forward again, what was held back included."""
        self._speaks.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side hangs up."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)
        with suppress(OSError, asyncio.CancelledError):
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                await self._both_ways((reader, target_writer), (target_reader, writer))
            finally:
                target_writer.close()
        writer.close()

    async def end(self) -> None:
        """Hang up on everybody."""
        for relay in tuple(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _both_ways(self, *pairs: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        ways = {asyncio.create_task(self._relay(*pair), name="way") for pair in pairs}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._speaks.wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def silent_network(target_port: int) -> AsyncIterator[SilentNetwork]:
    """A proxy to `target_port` while the block runs; at first it speaks."""
    network = SilentNetwork(target_port)
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    network.port = server.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        server.close()
        await network.end()
        await server.wait_closed()
