"""Parts of the load test: the latency proxy, the rules of the Lambda model, and competitors that fail."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import pytest

from benchmarks.baselines.lambda_model import BATCHES_AT_MOST, begins_after_seconds
from benchmarks.loadtest.competitors import COMPETITORS, mq_bridge
from benchmarks.loadtest.samples import competitor_as_consumer
from testkit.latency_proxy import Delay, latency_proxy
from testkit.process import ProcessError, child_process


async def test_order_is_kept_and_each_round_trip_is_longer() -> None:
    """Round trips take at least the minimum delay and keep the order; a closed connection is passed on."""
    closed = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        with latency_proxy(server.sockets[0].getsockname()[1], Delay(5, 10)) as port:
            await talk(*await asyncio.open_connection("127.0.0.1", port))
            await closed.wait()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ten small round trips, one large one, and a close."""
    started = time.monotonic()
    for number in range(10):
        writer.write(number.to_bytes(4, "big"))
        assert int.from_bytes(await reader.readexactly(4), "big") == number
    assert time.monotonic() - started >= 10 * 0.005
    long = bytes(range(256)) * 4_096
    writer.write(long)
    assert await reader.readexactly(len(long)) == long
    writer.close()
    await writer.wait_closed()


def test_the_lambda_model_scales_by_its_documented_rules() -> None:
    """Five readers start at once, 300 a minute evenly after them, the last of 1,250 after some four minutes."""
    assert [begins_after_seconds(number) for number in range(5)] == [0] * 5
    assert begins_after_seconds(5) > 0
    assert begins_after_seconds(5 + 300 - 1) == 60
    assert begins_after_seconds(BATCHES_AT_MOST - 1) == 249


def test_a_competitor_that_dies_ends_the_measurement() -> None:
    """A competitor that exits before it is stopped raises an error with the end of its log."""
    with child_process("a competitor", [sys.executable, "-c", "raise SystemExit('no database')"]) as child:
        child.wait_until(lambda: None if child.is_running else True, 20)
        with pytest.raises(ProcessError, match="no database"):
            competitor_as_consumer(child).counters()


def test_a_competitor_without_its_environment_names_the_remedy(tmp_path: Path) -> None:
    """The error names the command that installs the missing competitor."""
    absent = msgspec.structs.replace(mq_bridge("mq-bridge", "", 1), interpreter=tmp_path / "mq-bridge/bin/python")
    with pytest.raises(ProcessError, match=r"mq-bridge is not installed in \S+/mq-bridge: `make bench`"):
        absent.command("queue")


def test_no_two_competitors_share_a_queue() -> None:
    """Each drains a queue of its own."""
    assert len({competitor.queue_name for competitor in COMPETITORS}) == len(COMPETITORS)
