"""The breaker's table: every state can be left, and what is done agrees with where it leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.health import TRANSITIONS, Action, Event, State, transition

POLLING = {
    Action.PAUSE_POLLING: "paused",
    Action.LIMIT_POLLING: "limited",
    Action.RESUME_POLLING: "full",
}


def polling_of(state: State) -> str:
    """How polling is in a state."""
    if "probation" in state.value:
        return "limited"
    return "full" if state is State.CLOSED else "paused"


@pytest.mark.parametrize("state", State)
def test_a_write_that_succeeds_closes_the_breaker_unless_no_write_may_be_tried_there(state: State) -> None:
    """From everywhere, at once and without probation: it is the proof."""
    assert transition(state, Event.WRITE_SUCCEEDED)[0] is State.CLOSED


@given(st.lists(st.sampled_from(Event)))
def test_actions_agree_with_the_states_they_lead_to(events: list[Event]) -> None:
    """Polling, the right to try, the probe and the report are what the state says, whatever happened before."""
    state, polling, writes_allowed, is_probing, is_available = State.CLOSED, "full", True, False, True
    for event in events:
        state, actions = transition(state, event)
        for action in actions:
            polling = POLLING.get(action, polling)
            writes_allowed = (writes_allowed or action is Action.LET_WRITES_TRY) and action is not Action.START_PROBING
            is_probing = (is_probing or action is Action.START_PROBING) and action is not Action.LET_WRITES_TRY
            is_available = (
                is_available or action is Action.REPORT_AVAILABLE
            ) and action is not Action.REPORT_UNAVAILABLE
        assert polling == polling_of(state)
        assert (writes_allowed, is_probing) == (not state.is_open, state.is_open)
        assert is_available == state.is_closed


def test_every_state_is_reached_and_left() -> None:
    """Nothing in the table is dead."""
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert {state for state, _ in TRANSITIONS.values()} == set(State)
    assert {event for _, event in TRANSITIONS} == set(Event)
