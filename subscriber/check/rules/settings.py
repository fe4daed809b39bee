"""Findings about settings that are valid and may hurt."""

from __future__ import annotations

from collections.abc import Iterator

from subscriber.check.rules.finding import Finding
from subscriber.errors import ExitCode

HOLD_TO_WRITE_TIMEOUT = 30
"""To find a poison message takes less than three statements: the first one, all levels of bisection together, and the
message's own tries. Within a tenth of the hold time that leaves the other messages of its poll nine tenths."""


def hold_findings(write_timeout_seconds: float, hold_max_seconds: float) -> Iterator[Finding]:
    """Whether a poison message is found early in the time for which messages are held."""
    if HOLD_TO_WRITE_TIMEOUT * write_timeout_seconds <= hold_max_seconds:
        return
    problem = (
        f"SUBSCRIBER_WRITE_TIMEOUT_SECONDS is {write_timeout_seconds:g} and SUBSCRIBER_HOLD_MAX_SECONDS is "
        f"{hold_max_seconds:g}: to find a poison message may take more than a tenth of the hold time"
    )
    remedy = (
        f"set SUBSCRIBER_HOLD_MAX_SECONDS to {HOLD_TO_WRITE_TIMEOUT * write_timeout_seconds:g} or more, or "
        f"SUBSCRIBER_WRITE_TIMEOUT_SECONDS to {hold_max_seconds / HOLD_TO_WRITE_TIMEOUT:g} or less"
    )
    yield Finding("warning", ExitCode.CONFIGURATION, "", problem, remedy)
