"""Unknown events: one warning for each name, and a bounded number of names."""

from __future__ import annotations

import structlog

from subscriber.pipeline.unknown_events import MAX_WARNINGS, UnknownEvents


def test_each_name_is_warned_of_once() -> None:
    """However often it comes, in one delivery or in many."""
    unknown = UnknownEvents()
    with structlog.testing.capture_logs() as lines:
        for details in (("a", "b"), ("a",), ("c", "a", "c")):
            unknown.report(details)
    assert lines == [{"event": "event.unknown", "log_level": "warning", "detail": detail} for detail in "abc"]


def test_the_warnings_are_bounded() -> None:
    """A sender that invents a name for every event fills neither the log nor the memory."""
    unknown = UnknownEvents()
    with structlog.testing.capture_logs() as lines:
        for number in range(10 * MAX_WARNINGS):
            unknown.report([f"{number}"])
    assert [line["detail"] for line in lines] == [f"{number}" for number in range(MAX_WARNINGS)]
    assert len(unknown._warned) == MAX_WARNINGS
