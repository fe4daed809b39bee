"""Folding the counters of usage: again while there is more, smaller after a failure, never the end of the daemon."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.control import usage_folding
from subscriber.control.usage_folding import ROWS_AT_LEAST, ROWS_AT_MOST, UsageFolding
from subscriber.errors import StoreError, Treatment
from subscriber.observe.metrics import Metrics


async def folded(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, int] | None) -> tuple[list[int], Metrics]:
    """The rows asked for in each call, and the metrics, when all answers were given; None fails."""
    monkeypatch.setattr(usage_folding, "PERIOD_SECONDS", 0.0)
    left, asked, done = list(answers), list[int](), asyncio.Event()
    metrics = Metrics()

    async def fold(rows: int) -> tuple[int, int]:
        if not left:
            done.set()
            await asyncio.Event().wait()
        asked.append(rows)
        answer = left.pop(0)
        if answer is None:
            raise StoreError(Treatment.RETRY, "timeout", "57014", "canceling statement due to statement timeout")
        return answer

    running = asyncio.create_task(UsageFolding(fold, metrics).run(), name="folding")
    await done.wait()
    running.cancel()
    await asyncio.wait([running])
    return asked, metrics


async def test_folded_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what they were."""
    asked, metrics = await folded(monkeypatch, (ROWS_AT_MOST, 5), (7, 0), (0, 0))
    assert asked == [ROWS_AT_MOST] * 3
    counted = [metrics.usage_folded_rows.labels(kind)._value.get() for kind in ("delta", "key")]
    assert counted == [ROWS_AT_MOST + 7, 5]


async def test_a_fold_that_takes_too_long_is_tried_with_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to some, and up again when it works."""
    asked, _ = await folded(monkeypatch, *[None] * 9, (ROWS_AT_LEAST, 0), (0, 0))
    assert asked[:3] == [ROWS_AT_MOST, ROWS_AT_MOST // 2, ROWS_AT_MOST // 4]
    assert asked[-3:] == [ROWS_AT_LEAST, ROWS_AT_LEAST, 2 * ROWS_AT_LEAST]
