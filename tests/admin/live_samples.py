"""Facts for the live page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from subscriber.admin.live_snapshot import Facts, QueueFacts
from subscriber.control.reading import Reading
from subscriber.control.status import QueueStatus
from tests.fakes.control_status import QUIET

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUEUE = "object-events"
READY = {"started": True, "queues": True, "database": True, "not_stopping": True}
READING = Reading(taken_at=1, rows_per_second=800, statement_seconds=0.02, failures=0, lag_seconds=0.4)
STATUS = msgspec.structs.replace(
    QUIET,
    limit=2.5,
    held_messages=120,
    reserved_messages=40,
    reading=READING,
    queues=(QueueStatus(QUEUE, 1_200, 160, 4.0),),
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
