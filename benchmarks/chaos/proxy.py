"""The network between daemon and database, as bad as a run wants it: silent, slow, or broken at the worst moment.

A proxy inside the driver. What it does with what arrives is one word that a fault may change at any time; connections
made before obey as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias

from testkit.latency_proxy import HOST

Weather: TypeAlias = Literal["fair", "silent", "slow", "cut_after_commit"]
"""What becomes of what arrives:

fair: it passes.
silent: it goes nowhere, and nobody hangs up, as when a host is fenced off.
slow: it passes late.
cut_after_commit: the database's word that a row was stored is not passed on; both sides are reset instead.
"""

_READ_BYTES = 65_536
_HANG_UP_SECONDS = 1.0
_COMMITTED: Final = b"INSERT 0 "
"""The tag of the statement that stores: what it did is durable once the server has sent it."""


class Network:
    """Made by `network`; `port` is where a daemon finds the database."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.slow_seconds = 0.0
        self.connections = 0
        """Made so far."""
        self._weather: Weather = "fair"
        self._changed = asyncio.Event()
        self._relays: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def set_weather(self, weather: Weather) -> None:
        """Let it be like this from now on."""
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    def reset_all(self) -> None:
        """Every connection breaks, without a goodbye."""
        for writer in list(self._writers):
            _reset(writer)

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side is gone."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self._writers.add(writer)
        try:
            await self._until_fair_enough()
            target_reader, target_writer = await asyncio.open_connection(HOST, self.target_port)
            self._writers.add(target_writer)
            try:
                await self._both_ways((reader, writer), (target_reader, target_writer))
            finally:
                await self._hang_up(target_writer)
        except OSError:
            pass  # a database that is away refuses: so does the network
        finally:
            await self._hang_up(writer)
            self._relays.discard(task)

    async def close(self) -> None:
        """Break everything off."""
        for task in list(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
        try:
            async with asyncio.timeout(_HANG_UP_SECONDS):
                await writer.wait_closed()
        except OSError:  # it is gone already, or does not read what is left (TimeoutError)
            writer.transport.abort()

    async def _both_ways(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        tasks = [
            asyncio.create_task(self._pass_on(client[0], server[1]), name="to the database"),
            asyncio.create_task(self._pass_on(server[0], client[1]), name="from the database"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._until_fair_enough()
            if self._weather == "slow":
                await asyncio.sleep(self.slow_seconds)
            if self._weather == "cut_after_commit" and _COMMITTED in data:
                self.reset_all()
                return
            writer.write(data)
            await writer.drain()

    async def _until_fair_enough(self) -> None:
        while self._weather == "silent":
            await self._changed.wait()


@asynccontextmanager
async def network(target_port: int) -> AsyncIterator[Network]:
    """A fair network to a port of this machine, while the block runs."""
    made = Network(target_port)
    server = await asyncio.start_server(made.relay, HOST, 0)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await made.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
