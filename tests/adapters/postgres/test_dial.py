"""The order in which hosts are tried, in virtual time: a table of how each host behaves and what comes of it."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import Any

import pytest

from subscriber.adapters.postgres.connection import CONNECT_SECONDS
from subscriber.adapters.postgres.dial import first_of, gap_seconds, most_telling
from subscriber.adapters.postgres.store import PING_SECONDS, ping_login_seconds
from subscriber.errors import ConfigurationError, StoreError, Treatment
from tests.fakes.virtual_time import VirtualTimeLoop

SILENT = math.inf
DOWN = StoreError(Treatment.RECONNECT, "unreachable", None, "down")
REPLICA = StoreError(Treatment.RECONNECT, "standby", "25006", "replica")
REJECTED = StoreError(Treatment.CREDENTIALS, "credentials", "28P01", "rejected")
CERTIFICATE = StoreError(Treatment.STOP, "certificate", None, "certificate")
BAD_URL = ConfigurationError("url")


class Hosts:
    """Each answers after some seconds: with its number, or with an error."""

    def __init__(self, *hosts: tuple[float, Exception | None]) -> None:
        self._hosts = hosts
        self.discarded: list[int] = []
        self.cancelled: list[int] = []

    async def dial(self, number: int) -> int:
        """Connect to one host."""
        seconds, error = self._hosts[number]
        try:
            await asyncio.sleep(min(seconds, 1e6))
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if error is not None:
            raise error
        return number

    async def connect(self, gap: float) -> int:
        """Connect to the first that answers."""
        dials = [functools.partial(self.dial, number) for number in range(len(self._hosts))]
        return await first_of(dials, gap, self.discarded.append)


def outcome(hosts: Hosts, gap: float = 2.0) -> tuple[Any, float]:
    """What came of it, and after how many seconds."""

    async def run() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            found: Any = await hosts.connect(gap)
        except Exception as error:  # noqa: BLE001  -- the outcome, whatever it is
            found = error
        assert len(asyncio.all_tasks()) == 1
        return found, loop.time() - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())


@pytest.mark.parametrize(
    ("hosts", "found", "seconds"),
    [
        pytest.param([(0.1, None)], 0, 0.1, id="one host"),
        pytest.param([(0.1, None), (0.1, None)], 0, 0.1, id="the first is good, the second is not asked"),
        pytest.param([(SILENT, None), (0.1, None)], 1, 2.1, id="the first is silent"),
        pytest.param([(SILENT, None), (SILENT, None), (0.1, None)], 2, 4.1, id="two are silent"),
        pytest.param([(0.1, DOWN), (0.1, None)], 1, 0.2, id="the first refuses: no wait"),
        pytest.param([(3.0, None), (SILENT, None)], 0, 3.0, id="the first is slow and still wins"),
        pytest.param([(3.0, None), (0.1, REPLICA)], 0, 3.0, id="a replica answers before the slow writer"),
        pytest.param([(0.1, REPLICA), (3.0, None)], 1, 3.1, id="the second is slow"),
        pytest.param([(0.1, REJECTED), (0.1, None)], REJECTED, 0.1, id="a rejected login is final"),
        pytest.param([(0.1, BAD_URL), (0.1, None)], BAD_URL, 0.1, id="a wrong URL is final"),
        pytest.param([(0.1, CERTIFICATE), (0.1, None)], 1, 0.2, id="another host may have a good certificate"),
    ],
)
def test_hosts_are_tried_in_turn(hosts: list[tuple[float, Exception | None]], found: Any, seconds: float) -> None:
    """A silent host costs the gap, a refusing one nothing; whoever answers first is taken, and nothing is left."""
    tried = Hosts(*hosts)
    result, took = outcome(tried)
    assert result == found
    assert took == pytest.approx(seconds)
    assert tried.discarded == []


def test_all_hosts_fail() -> None:
    """The failure of all hosts names each; an unreachable host says more than a replica."""
    error, seconds = outcome(Hosts((0.1, REPLICA), (0.2, DOWN)))
    assert (error.word, error.treatment, error.detail) == ("unreachable", Treatment.RECONNECT, "replica; down")
    assert seconds == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("errors", "word"),
    [
        ([REPLICA, CERTIFICATE], "certificate"),
        ([DOWN, REJECTED], "credentials"),
        ([REPLICA, REPLICA], "standby"),
        ([REPLICA], "standby"),
    ],
)
def test_the_most_telling_failure(errors: list[StoreError], word: str) -> None:
    """What only an operator can fix comes first."""
    assert most_telling(errors).word == word


def test_two_that_succeed_at_once() -> None:
    """One is taken, and the other connection is discarded."""
    tried = Hosts((2.1, None), (0.1, None))
    winner, _ = outcome(tried)
    assert sorted([winner, *tried.discarded]) == [0, 1]


def test_a_cancelled_caller_leaves_nothing() -> None:
    """Every attempt ends with its caller, at whatever moment that is."""

    async def run(seconds: float) -> list[int]:
        tried = Hosts((SILENT, None), (SILENT, None))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await tried.connect(2.0)
        assert len(asyncio.all_tasks()) == 1
        return tried.cancelled

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert [runner.run(run(seconds)) for seconds in (1.0, 3.0)] == [[0], [0, 1]]


@pytest.mark.parametrize("limit", [0.5, PING_SECONDS, CONNECT_SECONDS])
@pytest.mark.parametrize("count", range(1, 9))
def test_the_last_host_has_its_share(limit: float, count: int) -> None:
    """However many hosts are silent, the last one is tried within the limit, with its share of it left."""
    gap = gap_seconds(limit, count)
    assert limit - (count - 1) * gap >= limit / count * (1 - 1e-9)


def test_a_probe_allows_what_a_login_takes() -> None:
    """The first ping of an outage is short; the next ones allow more, up to what a write allows."""
    assert [ping_login_seconds(number) for number in (0, 1, 2, 3, 10_000)] == [2.5, 5.0, 10.0, 10.0, 10.0]
    assert ping_login_seconds(2) == CONNECT_SECONDS
