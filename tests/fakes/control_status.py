"""The status of an idle daemon, for tests of its clients."""

from __future__ import annotations

from subscriber.control.status import ControlStatus, SensorStatus

QUIET = ControlStatus(
    mode="auto",
    limit=8,
    limit_at_least=0.05,
    limit_at_most=8,
    fixed_limit=None,
    held_messages=0,
    reserved_messages=0,
    database_available=True,
    reading=None,
    sensor=SensorStatus(source="none", period_seconds=None, is_stale=False, problem=""),
    queues=(),
    alarms=(),
    decisions=(),
)
