"""Facts for the live page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from subscriber.admin.live_snapshot import Facts, QueueFacts
from subscriber.control.reading import Reading
from subscriber.control.status import ControlStatus, QueueStatus, SensorStatus

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUEUE = "object-events"
READY = {"started": True, "queues": True, "database": True, "not_stopping": True}
READING = Reading(taken_at=1, rows_per_second=800, statement_seconds=0.02, failures=0, lag_seconds=0.4)
STATUS = ControlStatus(
    mode="auto",
    limit=2.5,
    limit_at_least=0.05,
    limit_at_most=8,
    fixed_limit=None,
    held_messages=120,
    reserved_messages=40,
    database_available=True,
    reading=READING,
    sensor=SensorStatus(source="none", period_seconds=None, is_stale=False, problem=""),
    queues=(QueueStatus(QUEUE, 1_200, 160, 4.0),),
    alarms=(),
    decisions=(),
)
FACTS = Facts(
    at=AT,
    version="1.0",
    conditions=READY,
    accepts_commands=True,
    lag_target_seconds=10,
    status=STATUS,
    queues={QUEUE: QueueFacts(taken_messages=160, received_per_second=812.4)},
    budget_messages=2_000,
    batch_rows_limit=500,
)


def facts(**status: Any) -> Facts:
    """The facts with some fields of the status changed."""
    return msgspec.structs.replace(FACTS, status=msgspec.structs.replace(STATUS, **status))
