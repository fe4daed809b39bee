"""The database's health as a state machine: the states of the circuit breaker and what changes them. Pure.

A state says two things. May writes be tried? Closed: yes; open: no; half-open: those of batches that are already held.
And how much is received? Everything; little (*on probation*: a queue gets a poll only while it holds fewer than ten
messages); nothing. A breaker without the second part would receive each message of a queue again and again while the
database answers probes and fails every write, until healthy messages reach the dead-letter queue.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias


class State(enum.Enum):
    """What the breaker is, and what polling is."""

    CLOSED = "closed"
    CLOSED_ON_PROBATION = "closed, on probation"
    OPEN = "open"
    OPEN_ON_PROBATION = "open, on probation"
    HALF_OPEN = "half-open"
    HALF_OPEN_ON_PROBATION = "half-open, on probation"

    @property
    def is_closed(self) -> bool:
        """Whether the database counts as available."""
        return self in {State.CLOSED, State.CLOSED_ON_PROBATION}

    @property
    def is_open(self) -> bool:
        """Whether no write may be tried."""
        return self in {State.OPEN, State.OPEN_ON_PROBATION}


class Event(enum.Enum):
    """What happens to a breaker."""

    NOTHING_SUCCEEDS = "nothing succeeds"
    """A write failed and none has succeeded for OPEN_AFTER_SECONDS; half-open: a write failed."""
    WRITE_SUCCEEDED = "a write succeeds"
    PROBE_ANSWERED = "the probe is answered, batches are held"
    PROBE_ANSWERED_IDLE = "the probe is answered, no batch is held"
    FAILED_REPEATEDLY = "a third write fails after an answered probe"
    LAST_BATCH_ENDED = "the last held batch ends without a success"
    PROBATION_PASSED = "no write fails for PROBATION_SECONDS"


class Action(enum.Enum):
    """What the breaker does on its way to the next state."""

    PAUSE_POLLING = "pause polling"
    LIMIT_POLLING = "limit polling"
    RESUME_POLLING = "resume polling"
    START_PROBING = "start probing"
    LET_WRITES_TRY = "let writes try"
    REPORT_UNAVAILABLE = "report unavailable"
    REPORT_AVAILABLE = "report available"


Actions: TypeAlias = tuple[Action, ...]

_OPENED = (Action.PAUSE_POLLING, Action.START_PROBING, Action.REPORT_UNAVAILABLE)
_CLOSED = (Action.RESUME_POLLING, Action.LET_WRITES_TRY, Action.REPORT_AVAILABLE)
_ON_PROBATION = (Action.LIMIT_POLLING, Action.LET_WRITES_TRY, Action.REPORT_AVAILABLE)

TRANSITIONS: Mapping[tuple[State, Event], tuple[State, Actions]] = {
    (State.CLOSED, Event.NOTHING_SUCCEEDS): (State.OPEN, _OPENED),
    (State.CLOSED_ON_PROBATION, Event.NOTHING_SUCCEEDS): (State.OPEN, _OPENED),
    (State.CLOSED_ON_PROBATION, Event.WRITE_SUCCEEDED): (State.CLOSED, (Action.RESUME_POLLING,)),
    (State.CLOSED_ON_PROBATION, Event.PROBATION_PASSED): (State.CLOSED, (Action.RESUME_POLLING,)),
    (State.OPEN, Event.WRITE_SUCCEEDED): (State.CLOSED, _CLOSED),
    (State.OPEN, Event.PROBE_ANSWERED): (State.HALF_OPEN, (Action.LET_WRITES_TRY,)),
    (State.OPEN, Event.PROBE_ANSWERED_IDLE): (State.CLOSED_ON_PROBATION, _ON_PROBATION),
    (State.HALF_OPEN, Event.NOTHING_SUCCEEDS): (State.OPEN, (Action.START_PROBING,)),
    (State.HALF_OPEN, Event.WRITE_SUCCEEDED): (State.CLOSED, _CLOSED),
    (State.HALF_OPEN, Event.FAILED_REPEATEDLY): (
        State.OPEN_ON_PROBATION,
        (Action.LIMIT_POLLING, Action.START_PROBING),
    ),
    (State.HALF_OPEN, Event.LAST_BATCH_ENDED): (State.OPEN, (Action.START_PROBING,)),
    (State.OPEN_ON_PROBATION, Event.WRITE_SUCCEEDED): (State.CLOSED, _CLOSED),
    (State.OPEN_ON_PROBATION, Event.PROBE_ANSWERED): (State.HALF_OPEN_ON_PROBATION, (Action.LET_WRITES_TRY,)),
    (State.OPEN_ON_PROBATION, Event.PROBE_ANSWERED_IDLE): (State.CLOSED_ON_PROBATION, _ON_PROBATION),
    (State.HALF_OPEN_ON_PROBATION, Event.NOTHING_SUCCEEDS): (State.OPEN_ON_PROBATION, (Action.START_PROBING,)),
    (State.HALF_OPEN_ON_PROBATION, Event.WRITE_SUCCEEDED): (State.CLOSED, _CLOSED),
    (State.HALF_OPEN_ON_PROBATION, Event.LAST_BATCH_ENDED): (State.OPEN_ON_PROBATION, (Action.START_PROBING,)),
}
"""What is not in the table changes nothing."""


def transition(state: State, event: Event) -> tuple[State, Actions]:
    """The state after `event`, and what is to be done on the way."""
    return TRANSITIONS.get((state, event), (state, ()))
