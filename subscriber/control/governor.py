"""The governor without a CPU signal: write time and errors alone brake, quiet lets go. Pure.

A reading with failures halves the limit, one with slow statements takes a third; every quiet reading gives a
quarter back, up to the maximum. One reading, one decision, and every decision names its reason.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from subscriber.control.reading import Reading

Reason: TypeAlias = Literal["failures", "slow", "recovering", "steady"]

FAILURES_FACTOR = 0.5
SLOW_FACTOR = 0.7
RECOVERY_FACTOR = 1.25


class GovernorOptions(msgspec.Struct, frozen=True):
    """The bounds of the limit, and what counts as slow."""

    limit_at_least: float
    limit_at_most: float
    slow_statement_seconds: float
    """Statements of this mean length or longer brake; a third of the write timeout leaves room to react."""


class Decision(msgspec.Struct, frozen=True):
    """The limit from now on, and why."""

    limit: float
    reason: Reason


def decide(options: GovernorOptions, limit: float, reading: Reading) -> Decision:
    """The next limit, given the one in force and what was seen under it."""
    if reading.failures:
        return Decision(max(options.limit_at_least, limit * FAILURES_FACTOR), "failures")
    if reading.statement_seconds is not None and reading.statement_seconds >= options.slow_statement_seconds:
        return Decision(max(options.limit_at_least, limit * SLOW_FACTOR), "slow")
    if limit < options.limit_at_most:
        return Decision(min(options.limit_at_most, limit * RECOVERY_FACTOR), "recovering")
    return Decision(limit, "steady")
