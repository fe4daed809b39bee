"""The reason of every decision as a sentence with its figures, for a person who has not read the control law. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from subscriber.control.governor.state import Reason
from subscriber.control.overrides import Verb
from subscriber.control.status import DecisionNote

UNKNOWN = "unknown"
"""A figure that was not measured."""

SENTENCES: Mapping[str, str] = {
    "failures": "Statements failed in the database ({failures} in a second), so fewer writes run at a time.",
    "slow": "Statements took {statement} each, longer than any should, so fewer writes run at a time.",
    "slow_rows": "Rows take longer than a moment ago ({statement} a statement), so fewer writes run at a time.",
    "above_ceiling": "The database's CPU would be {predicted}, above its ceiling of {ceiling}.",
    "below_ceiling": "Batches were waiting, and the database's CPU of {predicted} leaves capacity below {ceiling}.",
    "sharing": "Near the ceiling of {ceiling} the tasks of a fleet drift to equal shares.",
    "steady": "The database's CPU of {predicted} is where it should be, at its ceiling of {ceiling}.",
    "not_needed": "No batch has to wait, so more writes at a time would not help.",
    "at_ceiling": "The database's CPU was measured at {cpu}, so there is no capacity left below {ceiling}.",
    "unmeasured": "It is not known yet what more writes would cost the database.",
    "braked": "Writes failed or were slow moments ago, so the limit is not raised yet.",
    "outage": "The database does not answer; the limit waits for it.",
    "no_new_reading": "The last change has not shown in the database's load yet; that reading is {age} old.",
    "signal_lost": "The database's load has not been read for {age}, so the limit is not raised.",
    "fallback": "The database's load has been unknown for long, so the time of our own writes decides, with caution.",
    "quick_rows": "Batches were waiting, and rows are written as quickly as before.",
    "operator_pause": "An operator paused the daemon.",
    "operator_resume": "An operator resumed the daemon.",
    "operator_limit": "An operator fixed the limit.",
    "operator_auto": "An operator let the governor decide again.",
}

WITHOUT_A_CEILING: Mapping[str, str] = {
    "steady": "Nothing speaks for another limit, or it is at its bound already.",
}
"""Instead of a sentence that compares with the ceiling, where the operator chose no source of the load."""

REASONS: tuple[str, ...] = (*get_args(Reason), *(f"operator_{verb}" for verb in get_args(Verb)))
"""Everything that a decision's `reason` may be."""


def sentence_of(note: DecisionNote) -> str:
    """Why the limit changed or stayed, with the figures of that decision."""
    template = SENTENCES.get(note.reason)
    if note.ceiling_percent is None:
        template = WITHOUT_A_CEILING.get(note.reason, template)
    if template is None:  # from a newer governor than this table
        return note.reason
    return template.format(
        failures=note.failures,
        statement=seconds_text(note.statement_seconds),
        predicted=percent_text(note.predicted_percent if note.predicted_percent is not None else note.cpu_percent),
        cpu=percent_text(note.cpu_percent),
        ceiling=percent_text(note.ceiling_percent),
        age=seconds_text(note.load_age_seconds),
    )


def percent_text(percent: float | None) -> str:
    """A share of the database's capacity."""
    return UNKNOWN if percent is None else f"{percent:.0f} %"


def seconds_text(seconds: float | None) -> str:
    """A duration in the unit in which a person would say it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
