"""The lag of a queue: never 0 while messages wait, and not late where only one message is held."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.backlog import QueueCounts
from subscriber.control.lag import QueueLag, QueueSecond, lag_after

BACKLOG = QueueCounts(visible=5, in_flight=0, taken_at=90)
STOPPED = QueueSecond(is_asked=False, is_quiet=False)


def lags(seconds: Iterable[QueueSecond], begins_at: float = 100.0) -> list[float]:
    """The lag of each second; the first one ends a second after the begin."""
    lag, found = QueueLag(received_until=begins_at), []
    for number, seen in enumerate(seconds, start=1):
        lag = lag_after(lag, seen, begins_at + number)
        found.append(lag.seconds)
    return found


def stopped(**changed: object) -> QueueSecond:
    """A second in which nothing was asked of the queue."""
    return QueueSecond(is_asked=False, is_quiet=False, **changed)  # type: ignore[arg-type] # the fields of the struct


def test_an_idle_queue_is_not_late() -> None:
    """An open poll that brings nothing shows it, whatever the count: that is a minute late."""
    assert lags([QueueSecond()] * 3) == [0, 0, 0]
    assert lags([QueueSecond(counts=BACKLOG)] * 3) == [0, 0, 0]


def test_the_age_of_what_arrives_is_the_lag() -> None:
    """As long as it arrives; then an open poll shows an empty queue."""
    assert lags([QueueSecond(youngest_seconds=40.0), QueueSecond()]) == [40, 0]


def test_lag_grows_between_the_polls_of_a_backlog() -> None:
    """A second in which no poll was open, or the poll had only just begun, is no evidence of an empty queue."""
    full = QueueSecond(youngest_seconds=40.0, full_at=100.9, counts=BACKLOG)
    begun = QueueSecond(is_quiet=False, full_at=100.9, counts=BACKLOG)
    assert lags([full, stopped(full_at=100.9, counts=BACKLOG), begun]) == [40, 41, 42]


def test_lag_grows_in_a_pause_while_the_queue_counts_messages() -> None:
    """From the last empty answer on: whatever waits was sent after it."""
    paused = stopped(emptied_at=100.5, counts=BACKLOG)
    assert lags([QueueSecond(emptied_at=100.5), paused, paused]) == [0, 1.5, 2.5]


def test_unknown_is_not_zero() -> None:
    """In a pause without counts messages may wait."""
    assert lags([stopped()] * 3) == [1, 2, 3]


def test_a_queue_that_counts_no_message_is_not_late_in_a_pause() -> None:
    """When the count changes, what waits is younger than the last count of zero."""
    empty, later = QueueCounts(0, 0, taken_at=101), QueueCounts(3, 0, taken_at=103)
    assert lags([stopped(counts=empty)] * 2 + [stopped(counts=later)] * 2) == [0, 0, 2, 3]


def test_a_count_of_zero_is_not_believed_soon_after_a_full_answer() -> None:
    """For a minute: counts follow late."""
    full = QueueSecond(youngest_seconds=0.0, full_at=101)
    zero = [stopped(full_at=101, counts=QueueCounts(0, 0, taken_at=at)) for at in range(102, 163)]
    found = lags([full, *zero])
    assert found[:60] == list(range(60))
    assert found[60:] == [0, 0]


def test_released_messages_stay_late_until_they_arrive_again() -> None:
    """After an outage longer than the hold time the queue has them; its count is a minute late."""
    held = [stopped(oldest_held_at=95.0, counts=QueueCounts(0, 3, taken_at=101))] * 2
    released = [stopped(counts=QueueCounts(0, 3, taken_at=103))] * 2
    counted = [stopped(counts=QueueCounts(3, 0, taken_at=105))] * 2
    assert lags([*held, *released, *counted]) == [6, 7, 8, 9, 10, 11]
    back = [QueueSecond(youngest_seconds=12.0, counts=QueueCounts(3, 0, taken_at=105)), QueueSecond()]
    assert lags([*held, *released, *counted, *back]) == [6, 7, 8, 9, 10, 11, 12, 0]


def test_a_stalled_queue_is_late_though_its_polls_come_back_empty() -> None:
    """From the newest message on that it has given."""
    given_last = QueueSecond(youngest_seconds=2.0)
    stalled = QueueSecond(is_stalled=True, emptied_at=101.9, counts=BACKLOG)
    assert lags([given_last, stalled, stalled]) == [2, 3, 4]


@pytest.mark.parametrize("held_at", [50.0, math.inf])
def test_what_is_held_counts_besides_what_arrives(held_at: float) -> None:
    """The larger of both."""
    seen = QueueSecond(youngest_seconds=4.0, oldest_held_at=held_at)
    assert lags([seen]) == [max(4.0, 101 - held_at)]


@given(
    seconds=st.lists(
        st.builds(
            QueueSecond,
            youngest_seconds=st.none() | st.floats(0, 1e6),
            oldest_held_at=st.floats(-1e9, 1e3) | st.just(math.inf),
            is_asked=st.booleans(),
            is_quiet=st.booleans(),
            emptied_at=st.floats(-1e6, 100) | st.just(-math.inf),
            full_at=st.floats(-1e6, 100) | st.just(-math.inf),
            is_stalled=st.booleans(),
            counts=st.none()
            | st.builds(QueueCounts, visible=st.integers(0, 9), in_flight=st.just(0), taken_at=st.just(100.0)),
        ),
        max_size=20,
    )
)
def test_the_lag_is_finite_and_never_negative(seconds: list[QueueSecond]) -> None:
    """Whatever a queue shows; and it is above 0 while nothing is asked of a queue that counts messages."""
    for seen, lag in zip(seconds, lags(seconds), strict=True):
        assert 0 <= lag < math.inf
        if (
            not seen.is_asked
            and not seen.is_quiet
            and seen.counts
            and seen.counts.visible
            and seen.youngest_seconds is None
        ):
            assert lag > 0
