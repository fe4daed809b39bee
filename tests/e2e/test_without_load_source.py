"""The real daemon without a load source, at a real database: it begins with little and grows while rows stay quick."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise

from subscriber.control.governor.own_times import FACTOR_BELOW_ONE
from tests.e2e.environment import RunContext, put_body

MESSAGES = 20_000
FLOOR = 0.05


async def test_a_start_with_a_backlog_grows_step_by_step(context: RunContext) -> None:
    """From the smallest limit, by a quarter at most, no sooner than a second after the step before."""
    context.send(put_body(f"{number}.txt") for number in range(MESSAGES))
    with context.daemon(DATABASE_LOAD_SOURCE="none", BATCH_MAX_ROWS=100, WRITE_MIN_CONCURRENCY=FLOOR) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert daemon.metric("subscriber_concurrency_limit") == FLOOR
        await context.until_empty(timeout_seconds=60)
        changes = daemon.events("limit.changed")
    steps = [(line["was"], line["limit"], line["reason"]) for line in changes]
    assert steps[0] == (FLOOR, round(FLOOR * FACTOR_BELOW_ONE, 3), "quick_rows")
    assert max(limit for _, limit, _ in steps) >= 2 * FLOOR  # on a busy machine rows become slow, and it stops there
    assert max(limit / was for was, limit, _ in steps) <= FACTOR_BELOW_ONE + 0.01  # logged with three digits
    assert {reason for was, limit, reason in steps if limit > was} == {"quick_rows"}
    times = [datetime.fromisoformat(line["timestamp"]) for line in changes]
    assert min((later - earlier).total_seconds() for earlier, later in pairwise(times)) > 0.9
    assert len(await context.fetch("SELECT FROM objects")) == MESSAGES
