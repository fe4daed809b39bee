"""The governor as the regulator calls it: state and reading in, state and decision out. Pure."""

from __future__ import annotations

import msgspec

from subscriber.control import governor
from subscriber.control.governor import GovernorOptions
from subscriber.control.reading import Reading


class GovernorState(msgspec.Struct, frozen=True):
    """What the governor remembers from one decision to the next."""

    limit: float

    @classmethod
    def at_start(cls, options: GovernorOptions) -> GovernorState:
        """Before the first reading."""
        return cls(limit=options.limit_at_most)


class Decision(msgspec.Struct, frozen=True):
    """The limit from now on, why, and the evidence."""

    limit: float
    reason: str
    ceiling_percent: float | None = None
    """The CPU that may be used, at this lag; None: no load is read."""
    predicted_percent: float | None = None
    """The CPU of today, as the reading of some time ago and our work since then let expect; None likewise."""


def decide(options: GovernorOptions, state: GovernorState, reading: Reading) -> tuple[GovernorState, Decision]:
    """The next state and the decision it comes from."""
    decided = governor.decide(options, state.limit, reading)
    return GovernorState(limit=decided.limit), Decision(limit=decided.limit, reason=decided.reason)
