"""The tables of states and the decisions about jobs."""

from __future__ import annotations

from typing import get_args

import pytest

from subscriber.errors import ConfigurationError, ExitCode
from subscriber.jobs import JobState, RangeCounts, RangeOrders, RangeState, Tolerance
from subscriber.reconcile.job import (
    ATTEMPTS_AT_MOST,
    RANGE_TRANSITIONS,
    TRANSITIONS,
    Command,
    Duty,
    RangeEvent,
    duty,
    failures_tolerated,
    is_complete,
    outcome,
    rejection,
    state_after_error,
    tolerance_of,
)

X = None
JOB_TABLE: dict[Command, tuple[JobState | None, ...]] = {
    # running    paused       succeeded  failed     cancelled
    "pause": ("paused", X, X, X, X),
    "resume": (X, "running", X, X, X),
    "cancel": ("cancelled", "cancelled", X, X, X),
    "redrive": (X, X, "running", "running", "running"),
}
RANGE_TABLE: dict[RangeEvent, tuple[RangeState | None, ...]] = {
    # pending    running      succeeded  failed
    "claimed": ("running", "running", X, X),
    "released": (X, "pending", X, X),
    "done": (X, "succeeded", X, X),
    "broken": (X, "failed", X, X),
    "redriven": (X, X, X, "pending"),
}


def test_commands_change_jobs_by_the_table() -> None:
    """Every command in every state."""
    for command, targets in JOB_TABLE.items():
        sources, target = TRANSITIONS[command]
        found = tuple(target if state in sources else None for state in get_args(JobState))
        assert found == targets, command
    assert JOB_TABLE.keys() == set(get_args(Command)) == TRANSITIONS.keys()


def test_events_change_ranges_by_the_table() -> None:
    """Every event in every state."""
    for event, targets in RANGE_TABLE.items():
        sources, target = RANGE_TRANSITIONS[event]
        found = tuple(target if state in sources else None for state in get_args(RangeState))
        assert found == targets, event
    assert RANGE_TABLE.keys() == set(get_args(RangeEvent)) == RANGE_TRANSITIONS.keys()


@pytest.mark.parametrize("state", get_args(JobState))
def test_a_rejected_command_says_what_to_do_instead(state: JobState) -> None:
    """One sentence, with the exit code for arguments."""
    error = rejection(7, "pause", state)
    assert str(error).startswith(f"job 7 is {state}, so it cannot be changed by pause: ")
    assert error.exit_code is ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("counts", "tolerance", "expected"),
    [
        (RangeCounts(1, 0, 0, 0), Tolerance(), "running"),
        (RangeCounts(0, 1, 9, 0), Tolerance(), "running"),
        (RangeCounts(0, 0, 9, 0), Tolerance(), "succeeded"),
        (RangeCounts(5, 4, 0, 1), Tolerance(), "failed"),
        (RangeCounts(0, 0, 9, 1), Tolerance(1), "succeeded"),
        (RangeCounts(1, 0, 7, 2), Tolerance(1), "failed"),
        (RangeCounts(0, 0, 9, 1), Tolerance(None, 10.0), "succeeded"),
        (RangeCounts(0, 0, 9, 1), Tolerance(None, 9.9), "failed"),
        (RangeCounts(0, 0, 0, 10), Tolerance(None, 100.0), "succeeded"),
    ],
)
def test_a_job_fails_beyond_its_tolerance_and_ends_with_its_last_range(
    counts: RangeCounts, tolerance: Tolerance, expected: JobState
) -> None:
    """The number, or the percentage of all ranges, may be reached and not exceeded."""
    assert outcome(counts, tolerance) == expected


def test_the_percentage_is_rounded_down() -> None:
    """Of 30 ranges 10 % are three, of 29 two."""
    assert [failures_tolerated(total, Tolerance(None, 10.0)) for total in (30, 29, 9)] == [3, 2, 0]


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (None, "forget"),
        (RangeOrders("z", "running", 4), "go_on"),
        (RangeOrders("z", "running", 5), "go_on"),
        (RangeOrders("z", "running", 3), "release"),
        (RangeOrders("z", "paused", 4), "release"),
        (RangeOrders("z", "cancelled", 4), "release"),
        (RangeOrders("z", "failed", 4), "release"),
    ],
)
def test_a_worker_obeys_its_orders(orders: RangeOrders | None, expected: Duty) -> None:
    """It goes on only in a running job whose concurrency was not lowered since the claim of four."""
    assert duty(orders, 4) == expected


@pytest.mark.parametrize(
    ("position", "upto", "expected"),
    [(None, "b", False), ("a", None, False), ("a", "b", False), ("b", "b", True), ("c", "b", True)],
)
def test_a_range_is_complete_at_its_end(position: str | None, upto: str | None, expected: bool) -> None:
    """Or beyond it, where the end was moved under the worker."""
    assert is_complete(position, upto) is expected


def test_an_error_fails_a_range_if_it_is_permanent_or_repeated() -> None:
    """Otherwise the range is tried again."""
    assert state_after_error(1, is_permanent=True) == "failed"
    assert state_after_error(ATTEMPTS_AT_MOST - 1, is_permanent=False) == "pending"
    assert state_after_error(ATTEMPTS_AT_MOST, is_permanent=False) == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", Tolerance(0)), (" 12 ", Tolerance(12)), ("2.5%", Tolerance(None, 2.5)), ("100%", Tolerance(None, 100.0))],
)
def test_a_tolerance_is_a_number_or_a_percentage(text: str, expected: Tolerance) -> None:
    """Of ranges."""
    assert tolerance_of(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "-1%", "%", "nan%", "many", "²", "9" * 30])
def test_another_text_is_no_tolerance(text: str) -> None:
    """The sentence shows how to write one."""
    with pytest.raises(ConfigurationError, match=r"write a number of ranges as in 5, or a share as in 2\.5%"):
        tolerance_of(text)
