"""Event times: aware and in UTC, whatever the machine's zone, or None."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from subscriber.events.event_time import read_event_time

NOON = datetime(2026, 8, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def far_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in the time zone of Kiritimati, UTC+14."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_zone")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-08-02T12:00:00Z", NOON),
        ("2026-08-02T12:00:00.063Z", NOON + timedelta(milliseconds=63)),
        ("2026-08-02T12:00:00.123456", NOON + timedelta(microseconds=123_456)),
        ("2026-08-02T12:00:00", NOON),
        ("2026-08-02T14:00:00+02:00", NOON),
        ("2026-08-02T12:00:00.123456789Z", NOON + timedelta(microseconds=123_456)),
        ("1970-01-01T00:00:00.000Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2105-12-31T23:59:59Z", datetime(2105, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    """Every spelling of a moment is read as that moment in UTC; without a zone it is UTC, not the machine's."""
    read = read_event_time(text)
    assert read == moment
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-08-02",
        "2026-08-02T25:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-08-02T12:00:00Zulu",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",
        "2106-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1785657080",
        "\ud800" * 12,
    ],
)
def test_unusable(text: str) -> None:
    """A text that is no time, or a time outside the range of a sequencer, gives None."""
    assert read_event_time(text) is None
