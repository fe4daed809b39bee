"""A TCP proxy that adds latency to every round trip, as of a database in another availability zone.

    python -m testkit.latency_proxy --target-port 5432 --least 1 --most 5

The proxy delays the bytes of the client by a random time between both limits (milliseconds) and keeps their order.
It passes the bytes of the target on at once, so the delay is that of the round trip. It runs as a process of its own,
so that its CPU time is not counted for the processes under test. It prints the port it listens on and runs until
SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Final

import msgspec
import uvloop

from testkit.process import child_process

HOST: Final = "127.0.0.1"
_READ_BYTES = 262_144
_CHUNKS_UNDERWAY = 256
_START_SECONDS = 20.0
_SEED = 1


class Delay(msgspec.Struct, frozen=True):
    """The latency that is added to each round trip: uniform between both limits."""

    least_milliseconds: float
    most_milliseconds: float


@contextmanager
def latency_proxy(target_port: int, delay: Delay) -> Iterator[int]:
    """Run a proxy to a local port while the block runs; yields the proxy's port.

    Raises:
        ProcessError: the proxy does not start; with the end of its log.
    """
    command = [sys.executable, "-m", "testkit.latency_proxy", "--target-port", str(target_port)]
    command += ["--least", str(delay.least_milliseconds), "--most", str(delay.most_milliseconds)]
    with child_process("the latency proxy", command) as child:
        yield int(child.read_line(_START_SECONDS))


async def relay(
    target_port: int, delay: Delay, random: Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection until either side closes it."""
    with contextlib.suppress(OSError):
        target_reader, target_writer = await asyncio.open_connection(HOST, target_port)
        try:
            await _both_ways((reader, writer), (target_reader, target_writer), delay, random)
        finally:
            target_writer.close()
    writer.close()


async def _both_ways(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    target: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    delay: Delay,
    random: Random,
) -> None:
    underway: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDERWAY)
    tasks = [
        asyncio.create_task(_depart(client[0], underway, delay, random), name="departures"),
        asyncio.create_task(_arrive(underway, target[1]), name="arrivals"),
        asyncio.create_task(_answer(target[0], client[1]), name="answers"),
    ]
    try:
        await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _depart(
    reader: asyncio.StreamReader, underway: asyncio.Queue[tuple[float, bytes]], delay: Delay, random: Random
) -> None:
    """Queue each chunk with the time at which to deliver it; an empty chunk marks the end of the stream."""
    arrival, data = 0.0, b"-"
    while data:
        data = await reader.read(_READ_BYTES)
        seconds = random.uniform(delay.least_milliseconds, delay.most_milliseconds) / 1000
        arrival = max(arrival, asyncio.get_running_loop().time() + seconds)
        await underway.put((arrival, data))


async def _arrive(underway: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    while True:
        arrival, data = await underway.get()
        await asyncio.sleep(arrival - asyncio.get_running_loop().time())
        if not data:
            return
        writer.write(data)
        await writer.drain()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ_BYTES):
        writer.write(data)
        await writer.drain()


async def serve(target_port: int, delay: Delay) -> None:
    """Listen on a free port, print it, and serve until cancelled."""
    server = await asyncio.start_server(partial(relay, target_port, delay, Random(_SEED)), HOST, 0)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


def main() -> None:
    """Run the proxy until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m testkit.latency_proxy", description=__doc__)
    parser.add_argument("--target-port", type=int, required=True)
    parser.add_argument("--least", type=float, required=True, help="milliseconds")
    parser.add_argument("--most", type=float, required=True, help="milliseconds")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    uvloop.run(serve(options.target_port, Delay(options.least, options.most)))


if __name__ == "__main__":
    main()
