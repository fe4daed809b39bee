"""What the load test stands on: the slow network, the rules of the model, and peers that may not die unseen."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import pytest

from benchmarks.baselines.lambda_model import BATCHES_AT_MOST, begins_after_seconds
from benchmarks.loadtest.competitors import COMPETITORS, mq_bridge
from benchmarks.loadtest.samples import peer_as_consumer
from testkit.latency_proxy import Delay, slow_network
from testkit.process import PartError, child_process


async def test_order_is_kept_and_each_round_trip_is_longer() -> None:
    """Round trips take at least the least delay, bring back what was sent, in order; a hang-up passes through."""
    hung_up = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        with slow_network(server.sockets[0].getsockname()[1], Delay(5, 10)) as port:
            await talk(*await asyncio.open_connection("127.0.0.1", port))
            await hung_up.wait()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ten small round trips, one large one, and a good-bye."""
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


def test_the_model_grows_by_its_documented_rules() -> None:
    """Five readers begin at once, the 300 of a minute evenly after them, the last of 1,250 after some four minutes."""
    assert [begins_after_seconds(number) for number in range(5)] == [0] * 5
    assert begins_after_seconds(5) > 0
    assert begins_after_seconds(5 + 300 - 1) == 60
    assert begins_after_seconds(BATCHES_AT_MOST - 1) == 249


def test_a_peer_that_dies_ends_the_measurement() -> None:
    """Nobody waits for a peer that has ended before it was told to, and the reason is shown."""
    with child_process("a peer", [sys.executable, "-c", "raise SystemExit('out of luck')"]) as child:
        child.wait_until(lambda: None if child.is_running else True, 20)
        with pytest.raises(PartError, match="out of luck"):
            peer_as_consumer(child).counters()


def test_a_contender_without_its_environment_says_how_to_get_it(tmp_path: Path) -> None:
    """Whoever runs the contest by hand is told which command installs the peer that is missing."""
    absent = msgspec.structs.replace(mq_bridge("mq-bridge", "", 1), interpreter=tmp_path / "mq-bridge/bin/python")
    with pytest.raises(PartError, match=r"mq-bridge is not installed in \S+/mq-bridge: `make bench`"):
        absent.command("queue")


def test_no_two_contenders_share_a_queue() -> None:
    """Each drains a queue that nobody has touched before."""
    assert len({competitor.queue_name for competitor in COMPETITORS}) == len(COMPETITORS)
