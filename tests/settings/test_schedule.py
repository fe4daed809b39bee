"""Settings of the schedule of reconciliation that contradict each other."""

from __future__ import annotations

from subscriber.app import _schedule_options
from tests.settings.test_settings import mistakes, read


def test_a_schedule_needs_a_lock_and_so_a_direct_connection() -> None:
    """A pooler in transaction mode keeps none; without a schedule, or without the pooler, nothing is wrong."""
    (mistake,) = mistakes(RECONCILE_EVERY_HOURS="24", DATABASE_POOLER="transaction")
    assert mistake.startswith("SUBSCRIBER_RECONCILE_EVERY_HOURS needs a direct connection")
    assert "SUBSCRIBER_DATABASE_POOLER=none" in mistake
    assert read(DATABASE_POOLER="transaction").reconcile_every_hours is None
    assert read(RECONCILE_EVERY_HOURS="24").reconcile_every_hours == 24


def test_a_schedule_only_reports_unless_repair_is_asked_for() -> None:
    """And there is none by default."""
    assert _schedule_options(read()) is None
    for text, is_repair in (("", False), ("false", False), ("true", True)):
        options = _schedule_options(read(RECONCILE_EVERY_HOURS="2", RECONCILE_REPAIR=text, BUCKETS="lake"))
        assert options is not None
        assert (options.is_repair, options.schedule.every_seconds) == (is_repair, 7200)
        assert options.schedule.buckets == ("lake",)
