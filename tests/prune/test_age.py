"""How old a tombstone must be: the age that a message can reach, and what waits in the quarantine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from subscriber.errors import ConfigurationError
from subscriber.prune.age import Retention, require_old_enough, tombstones_before

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def days(number: float) -> timedelta:
    """So many days."""
    return timedelta(days=number)


@pytest.mark.parametrize(
    ("own", "dead_letters", "oldest"),
    [
        (4, None, 4),
        (7, 14, 28),  # in the dead-letter queue up to day 14, moved back, and there once more
        (14, 4, 18),  # moved back on day 4, and 14 days in the queue
        (1, 1, 2),
    ],
)
def test_a_redrive_begins_the_retention_anew(own: float, dead_letters: float | None, oldest: float) -> None:
    """The oldest message is one that was moved back just before it expired."""
    retention = Retention("q", days(own), None if dead_letters is None else days(dead_letters))
    assert retention.oldest == days(oldest)


def test_an_age_that_a_message_can_reach_is_rejected_with_the_numbers() -> None:
    """The queue whose messages live longest decides, whatever its place."""
    queues = [Retention("https://q/short", days(1)), Retention("https://q/long", days(7), days(14))]
    require_old_enough(days(31), queues)
    with pytest.raises(ConfigurationError) as caught:
        require_old_enough(days(31) - timedelta(seconds=1), queues[::-1])
    assert str(caught.value) == (
        "--older-than: 31 days is too short: a message of queue https://q/long can be 28 days old (7 days in the "
        "queue, 14 days in its dead-letter queue, moved back once), and an older event would bring a removed object "
        "back; with a margin of 3 days, write --older-than 31d or more"
    )


def test_the_sentence_rounds_up() -> None:
    """What it says to write is accepted."""
    queues = [Retention("https://q/odd", timedelta(seconds=100_000))]
    with pytest.raises(ConfigurationError, match=r"can be 1\.16 days old \(1\.16 days in the queue\).* 5d or"):
        require_old_enough(days(4), queues)
    require_old_enough(days(5), queues)


@pytest.mark.parametrize(("waits_for", "before"), [(None, 45), (0, 45), (10, 55)])
def test_a_waiting_message_keeps_the_tombstones_that_its_replay_may_need(
    waits_for: float | None, before: float
) -> None:
    """Its events may be as old as the queues allowed on the day it came to the quarantine."""
    oldest_waiting = None if waits_for is None else NOW - days(waits_for)
    assert tombstones_before(NOW, days(45), oldest_waiting) == NOW - days(before)
