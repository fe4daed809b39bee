"""The silent stall, and how the queue's counts distinguish it from an idle queue."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.alarms import ADVICE, QueueHealth, StallReason, detect_stall

IDLE = QueueHealth(empty_answers=5, silent_seconds=100, visible=0, in_flight=0)
COUNTS = st.none() | st.integers(0, 200_000)
REASONS = st.sampled_from([None, "in_flight_limit", "unseen_backlog"])


def stall_of(before: StallReason | None = None, **changed: int | None) -> StallReason | None:
    """The result for an idle queue with some changes."""
    return detect_stall(msgspec.structs.replace(IDLE, **changed), before)


def test_an_idle_queue_is_not_stalled() -> None:
    """Empty answers alone mean that the queue is empty."""
    assert stall_of() is None
    assert stall_of(in_flight=100_000) is None


def test_a_queue_near_its_limit_in_flight_is_stalled_at_once() -> None:
    """Two empty answers are enough, even without a backlog: SQS gives no other sign."""
    assert stall_of(empty_answers=2, silent_seconds=20, in_flight=108_000) == "in_flight_limit"
    assert stall_of(empty_answers=1, silent_seconds=20, in_flight=119_999) is None


def test_a_backlog_that_is_not_delivered_is_a_stall_after_a_while() -> None:
    """The count may be a minute late, so the silence must last longer; a few messages may be the count's error."""
    assert stall_of(visible=5000, silent_seconds=90) == "unseen_backlog"
    assert stall_of(visible=5000, silent_seconds=89) is None
    assert stall_of(visible=9, silent_seconds=3600) is None


@pytest.mark.parametrize("before", [None, "in_flight_limit", "unseen_backlog"])
def test_without_counts_the_result_stays(before: StallReason | None) -> None:
    """A failed read of the counts neither begins nor ends a stall."""
    assert stall_of(before, visible=None, in_flight=None) == before


@given(before=REASONS, visible=COUNTS, in_flight=COUNTS, silent_seconds=st.floats(0, 1e6))
def test_a_message_ends_any_stall(
    before: StallReason | None, visible: int | None, in_flight: int | None, silent_seconds: float
) -> None:
    """For any counts, a queue that delivers is not stalled."""
    health = QueueHealth(empty_answers=0, silent_seconds=silent_seconds, visible=visible, in_flight=in_flight)
    assert detect_stall(health, before) is None


def test_every_reason_has_its_advice() -> None:
    """One sentence, without a full stop."""
    assert set(ADVICE) == {"in_flight_limit", "unseen_backlog"}
    assert all(text and not text.endswith(".") for text in ADVICE.values())
