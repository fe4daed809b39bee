"""The ages of the youngest events: once a minute, absent while they cannot be read, and bounded by the settings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from subscriber.control.bucket_ages import BucketAges
from subscriber.control.periodic_read import PERIOD_SECONDS
from subscriber.errors import StoreError, Treatment
from subscriber.observe.metrics import Metrics

DENIED = StoreError(Treatment.STOP, "no_privilege", "42501", "permission denied", "run grants.sql")


class Table:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, answer: Mapping[str, float] | StoreError) -> None:
        self.answer = answer
        self.asked: list[Sequence[str]] = []
        self.metrics = Metrics()

    async def read(self, buckets: Sequence[str]) -> Mapping[str, float]:
        """The answer."""
        self.asked.append(buckets)
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer

    @asynccontextmanager
    async def read_for(self, *buckets: str) -> AsyncIterator[None]:
        """Reads while the block runs."""
        task = asyncio.create_task(BucketAges(buckets, self.read, self.metrics).run(), name="ages")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def series(self) -> dict[str, float]:
        """The value by bucket."""
        (family,) = self.metrics.youngest_event_age_seconds.collect()
        return {sample.labels["bucket"]: sample.value for sample in family.samples}


async def test_each_bucket_of_the_settings_has_a_series() -> None:
    """The first time within seconds; NaN without an event; what else the table has makes none."""
    table = Table({"a": 5.0, "else": 1.0})
    async with table.read_for("a", "b"):
        await asyncio.sleep(6)
        series = table.series()
        assert series.pop("a") == 5.0
        assert series.keys() == {"b"}
        assert math.isnan(series["b"])
        await asyncio.sleep(3600)
    assert set(table.asked) == {("a", "b")}
    assert 50 <= len(table.asked) <= 77


async def test_without_names_all_buckets_share_one() -> None:
    """An index may have any number of them."""
    table = Table({"all": 7.0})
    async with table.read_for():
        await asyncio.sleep(6)
        assert table.series() == {"all": 7.0}


async def test_it_is_absent_while_it_cannot_be_read() -> None:
    """The log names the remedy, more and more rarely."""
    table = Table({"a": 5.0})
    with structlog.testing.capture_logs() as logs:
        async with table.read_for("a"):
            await asyncio.sleep(6)
            table.answer = DENIED
            await asyncio.sleep(1.3 * PERIOD_SECONDS)
            assert table.series() == {}
            await asyncio.sleep(600)
            table.answer = {"a": 1.0}
            await asyncio.sleep(1.3 * PERIOD_SECONDS)
            assert table.series() == {"a": 1.0}
    assert [line["attempts"] for line in logs] == [1, 2, 4, 8]
    assert logs[0]["event"] == "buckets.not_read"
    assert "run grants.sql" in logs[0]["detail"]
