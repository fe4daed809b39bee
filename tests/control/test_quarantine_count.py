"""The count of what waits: once a minute, absent while it cannot be read, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from subscriber.control.periodic_read import PERIOD_SECONDS
from subscriber.control.quarantine_count import REASONS_AT_MOST, QuarantineCount
from subscriber.errors import StoreError, Treatment
from subscriber.observe.metrics import Metrics

DENIED = StoreError(Treatment.STOP, "no_privilege", "42501", "permission denied", "run grants.sql")


class Table:
    """Answers as told, and keeps the times at which it was asked."""

    def __init__(self, answer: Mapping[str, int] | StoreError) -> None:
        self.answer = answer
        self.asked: list[float] = []
        self.metrics = Metrics()

    async def read(self) -> Mapping[str, int]:
        """The answer."""
        self.asked.append(asyncio.get_running_loop().time())
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """A count that runs for the block."""
        task = asyncio.create_task(QuarantineCount(self.read, self.metrics).run(), name="count")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def series(self) -> dict[str, float]:
        """The value by reason."""
        (family,) = self.metrics.quarantine_waiting_messages.collect()
        return {sample.labels["reason"]: sample.value for sample in family.samples}


async def after_next_read() -> None:
    """Long enough for one more read, and for two at most."""
    await asyncio.sleep(1.3 * PERIOD_SECONDS)


async def test_it_is_read_once_a_minute() -> None:
    """The first time within seconds; a reason that no message has any more is 0."""
    table = Table({"bad_key": 2, "trigger": 1})
    async with table.counted():
        await asyncio.sleep(6)
        assert table.series() == {"bad_key": 2, "trigger": 1}
        table.answer = {"bad_key": 3}
        await after_next_read()
        assert table.series() == {"bad_key": 3, "trigger": 0}
        await asyncio.sleep(3600)
    assert 50 <= len(table.asked) <= 77


async def test_it_is_absent_while_it_cannot_be_read() -> None:
    """An old number would look like a true one; the log names the remedy, more and more rarely."""
    table = Table({"bad_key": 2})
    with structlog.testing.capture_logs() as logs:
        async with table.counted():
            await asyncio.sleep(6)
            table.answer = DENIED
            await after_next_read()
            assert table.series() == {}
            await asyncio.sleep(600)
            table.answer = {"bad_key": 1}
            await after_next_read()
            assert table.series() == {"bad_key": 1}
    assert [line["attempts"] for line in logs] == [1, 2, 4, 8]
    assert logs[0]["event"] == "quarantine.not_counted"
    assert "run grants.sql" in logs[0]["detail"]


async def test_the_number_of_series_is_bounded() -> None:
    """Even if every answer names other reasons."""
    table = Table({})
    async with table.counted():
        for turn in range(10):
            table.answer = {f"{turn}-{number}": 1 for number in range(REASONS_AT_MOST)}
            await asyncio.sleep(2 * PERIOD_SECONDS)
            assert len(table.series()) <= 2 * REASONS_AT_MOST
