"""A TCP proxy between daemon and database that delays, drops or resets traffic on request.

It runs inside the test driver. A fault may change its mode at any time; the mode applies to open connections as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias

from testkit.latency_proxy import HOST

NetworkMode: TypeAlias = Literal["normal", "silent", "slow", "cut_after_commit"]
"""What the proxy does with data that arrives:

normal: forwards it.
silent: holds it back without closing the connection, as when a host is fenced off.
slow: forwards it late.
cut_after_commit: resets both sides instead of forwarding the database's confirmation that rows were stored.
"""

_READ_BYTES = 65_536
_CLOSE_SECONDS = 1.0
_COMMITTED: Final = b"INSERT 0 "
"""Command tag of the upsert: its effect is durable once the server has sent the tag."""


class Network:
    """Made by `network`; a daemon connects to the database through `port`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.slow_seconds = 0.0
        self.login_seconds = 0.0
        """How long each new connection waits before it reaches the database."""
        self.connections = 0
        """Connections accepted so far."""
        self._mode: NetworkMode = "normal"
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._relays: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def set_mode(self, mode: NetworkMode) -> None:
        """Switches open and future connections to a mode."""
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def reset_all(self) -> None:
        """Resets every connection, without an orderly close."""
        for writer in list(self._writers):
            _reset(writer)

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relays one connection until either side closes it."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self._writers.add(writer)
        try:
            await self._wait_for_login()
            await self._wait_while_silent()
            target_reader, target_writer = await asyncio.open_connection(HOST, self.target_port)
            self._writers.add(target_writer)
            try:
                await self._both_ways((reader, writer), (target_reader, target_writer))
            finally:
                await self._close_writer(target_writer)
        except OSError:
            pass  # the database is down and refuses connections: so does the proxy
        finally:
            await self._close_writer(writer)
            self._relays.discard(task)

    async def close(self) -> None:
        """Ends every relay."""
        self._closing.set()
        self.set_mode(self._mode)
        if self._relays:
            await asyncio.wait(self._relays, timeout=_CLOSE_SECONDS)
        for task in list(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _close_writer(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await writer.wait_closed()
        except OSError:  # closed already, or the peer does not read the rest (TimeoutError)
            writer.transport.abort()

    async def _both_ways(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        tasks = [
            asyncio.create_task(self._forward(client[0], server[1]), name="to the database"),
            asyncio.create_task(self._forward(server[0], client[1]), name="from the database"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._wait_while_silent()
            if self._mode == "slow":
                await asyncio.sleep(self.slow_seconds)
            if self._mode == "cut_after_commit" and _COMMITTED in data:
                self.reset_all()
                return
            writer.write(data)
            await writer.drain()

    async def _wait_for_login(self) -> None:
        """Waits `login_seconds`.

        Raises:
            ConnectionAbortedError: the proxy ends.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.login_seconds):
                await self._closing.wait()
            raise ConnectionAbortedError

    async def _wait_while_silent(self) -> None:
        while self._mode == "silent":
            await self._changed.wait()
            if self._closing.is_set():
                raise ConnectionAbortedError


@asynccontextmanager
async def network(target_port: int) -> AsyncIterator[Network]:
    """Runs a proxy in mode `normal` to a local port while the block runs."""
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
