"""What may become of a job and of its ranges: tables and decisions, without clock or database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from subscriber.errors import ConfigurationError
from subscriber.jobs import JobRange, JobState, RangeCounts, RangeOrders, RangeState, Tolerance

Command: TypeAlias = Literal["pause", "resume", "cancel", "redrive"]
"""What an operator may ask of a job."""

RangeEvent: TypeAlias = Literal["claimed", "released", "done", "broken", "redriven"]
"""What happens to a range: a worker takes it, lets go of it through no fault of the range, finishes it, or cannot; an
operator asks for another try."""

Duty: TypeAlias = Literal["go_on", "release", "forget"]
"""Of a worker to its range: go on, let others have it, or forget it, because it belongs to another already."""

ATTEMPTS_AT_MOST = 5
"""Claims of a range without one page done, after which it has failed. Each page begins the count anew."""

TRANSITIONS: Final[Mapping[Command, tuple[frozenset[JobState], JobState]]] = MappingProxyType(
    {
        "pause": (frozenset({"running"}), "paused"),
        "resume": (frozenset({"paused"}), "running"),
        "cancel": (frozenset({"running", "paused"}), "cancelled"),
        "redrive": (frozenset({"succeeded", "failed", "cancelled"}), "running"),
    }
)
"""Command → the states in which a job takes it, and the state that it then has."""

RANGE_TRANSITIONS: Final[Mapping[RangeEvent, tuple[frozenset[RangeState], RangeState]]] = MappingProxyType(
    {
        "claimed": (frozenset({"pending", "running"}), "running"),  # running: its lease is over
        "released": (frozenset({"running"}), "pending"),
        "done": (frozenset({"running"}), "succeeded"),
        "broken": (frozenset({"running"}), "failed"),
        "redriven": (frozenset({"failed"}), "pending"),
    }
)
"""Event → the states in which it may happen to a range, and the state that it then has."""

TUNABLE: Final[frozenset[JobState]] = frozenset({"running", "paused"})
"""The states in which concurrency and tolerance still matter."""

_REMEDIES: Final[Mapping[JobState, str]] = MappingProxyType(
    {
        "running": "pause or cancel it first",
        "paused": "`subscriber jobs resume` lets it go on",
        "succeeded": "`subscriber jobs redrive` tries its failed ranges again, if it has any",
        "failed": "`subscriber jobs redrive` tries its failed ranges again",
        "cancelled": "`subscriber jobs redrive` lets it go on",
    }
)


def rejection(job_id: int, command: str, state: JobState) -> ConfigurationError:
    """Why a job in this state does not take a command, and what it takes instead."""
    return ConfigurationError(f"job {job_id} is {state}, so it cannot be changed by {command}: {_REMEDIES[state]}")


def outcome(counts: RangeCounts, tolerance: Tolerance) -> JobState:
    """The state of a running job by its ranges.

    It fails as soon as more ranges have failed than it tolerates, and otherwise goes on until none is left, as a
    distributed map does (Step Functions developer guide, "Tolerated failure threshold").
    """
    if counts.failed > failures_tolerated(counts.total, tolerance):
        return "failed"
    return "running" if counts.pending or counts.running else "succeeded"


def failures_tolerated(total: int, tolerance: Tolerance) -> int:
    """The most ranges of `total` that may fail."""
    if tolerance.failures is not None:
        return tolerance.failures
    return math.floor(total * (tolerance.percent or 0.0) / 100)


def state_after_error(attempts: int, *, is_permanent: bool) -> RangeState:
    """What becomes of a range whose page could not be done: another attempt, unless it is certain or likely to fail."""
    return "failed" if is_permanent or attempts >= ATTEMPTS_AT_MOST else "pending"


def is_given_up(claimed: JobRange) -> bool:
    """Whether a range that was just claimed is not tried again: its workers have ended on it without a trace."""
    return claimed.attempts > ATTEMPTS_AT_MOST


def duty(orders: RangeOrders | None, concurrency_at_claim: int) -> Duty:
    """What a worker does with the range it holds, by the answer to its last commit.

    Where the concurrency of the job was lowered, every worker lets go of its ranges once: as many as may still run are
    claimed again at once.
    """
    if orders is None:
        return "forget"
    return "go_on" if orders.job_state == "running" and orders.concurrency >= concurrency_at_claim else "release"


def is_complete(position: str | None, upto: str | None) -> bool:
    """Whether the last key done ends the range; a range without end ends with its listing."""
    return position is not None and upto is not None and position >= upto


def tolerance_of(text: str) -> Tolerance:
    """The tolerance that `5` or `2.5%` names.

    Raises:
        ConfigurationError: it is neither a number of ranges nor a percentage.
    """
    number = text.strip()
    try:
        if number.endswith("%") and 0 <= float(number[:-1]) <= 100:
            return Tolerance(None, float(number[:-1]))
        if number.isdecimal() and int(number) < 1 << 31:
            return Tolerance(int(number), None)
    except ValueError:
        pass
    raise ConfigurationError(f"{text!r} is not a tolerance: write a number of ranges as in 5, or a share as in 2.5%")
