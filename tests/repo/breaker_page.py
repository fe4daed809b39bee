"""docs/reference/circuit-breaker.md from the table of subscriber/flow/health.py: picture, states, transitions."""

from __future__ import annotations

from subscriber.flow.breaker import HALF_OPEN_FAILURES_BEFORE_PROBATION, OPEN_AFTER_SECONDS, PROBATION_SECONDS
from subscriber.flow.health import TRANSITIONS, Event, State

TEMPLATE = """\
# Circuit breaker

What the daemon makes of the database's health. The table is the one that the program uses
(`subscriber/flow/health.py`); [Architecture](../explanation/architecture.md#when-the-database-is-unavailable) says why
it is so.

```mermaid
{picture}
```

## States

Probation means that a queue gets a poll only while it has fewer than ten messages in the process.

| state | `/readyz` | writes that may be tried | polling |
| --- | --- | --- | --- |
{states}

## Events

| event | comes |
| --- | --- |
{events}

## Transitions

What is not in this table changes nothing.

| state | event | next state | actions |
| --- | --- | --- | --- |
{transitions}
"""

MEANINGS = {
    Event.NOTHING_SUCCEEDS: f"{OPEN_AFTER_SECONDS:g} s after a failed write, if none has succeeded since; half-open: "
    "with the first failed write",
    Event.WRITE_SUCCEEDED: "with a commit of rows, with one of the quarantine unless rows fail, and with a comparison "
    "(a row of the daemon's own, written and rolled back)",
    Event.PROBE_ANSWERED: "with the answer to a ping; where one or two messages wait for evidence and no others, a "
    "comparison is tried with it",
    Event.PROBE_ANSWERED_IDLE: "the same while no batch waits",
    Event.FAILED_REPEATEDLY: f"with the failed write number {HALF_OPEN_FAILURES_BEFORE_PROBATION} since the breaker "
    "opened, those apart that no probe had allowed",
    Event.LAST_BATCH_ENDED: "when the messages that waited are released or delayed",
    Event.PROBATION_PASSED: f"{PROBATION_SECONDS:g} s after probation began in the closed state, unless a write failed",
}
"""What each event is, in the operator's words."""


def parts() -> dict[str, str]:
    """The parts of the template."""
    return {
        "picture": picture(),
        "states": "\n".join(map(_state_row, State)),
        "events": "\n".join(f"| {event.value} | {MEANINGS[event]} |" for event in Event),
        "transitions": "\n".join(
            f"| {state.value} | {event.value} | {after.value} | {', '.join(action.value for action in actions)} |"
            for (state, event), (after, actions) in TRANSITIONS.items()
        ),
    }


def picture() -> str:
    """A state diagram for Mermaid, one arrow for each transition."""
    names = [f'    state "{state.value}" as {_id(state)}' for state in State]
    arrows = [f"    {_id(state)} --> {_id(after)}: {event.value}" for (state, event), (after, _) in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", *names, f"    [*] --> {_id(State.CLOSED)}", *arrows])


def _id(state: State) -> str:
    return state.name.lower()


def _state_row(state: State) -> str:
    ready = "200" if state.is_closed else "503"
    writes = "all" if state.is_closed else ("none" if state.is_open else "those of batches that are held")
    is_on_probation = state.name.endswith("ON_PROBATION")
    polling = "on probation" if is_on_probation else ("full" if state is State.CLOSED else "paused")
    return f"| {state.value} | {ready} | {writes} | {polling} |"
