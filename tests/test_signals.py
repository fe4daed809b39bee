"""Arrivals and lag: ages that are reported once, silence that is reset, and the worst of all ages."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.observer import lag_of
from subscriber.signals import Arrivals

AGES = st.floats(0, 1e6)


def test_the_youngest_age_is_returned_once() -> None:
    """The smallest of all answers since the last call; without a new answer there is none."""
    arrivals = Arrivals()
    for age in (7.0, 3.0, None, 5.0):
        arrivals.record_answer(1, age, 0)
    assert arrivals.pop_min_age() == 3
    assert arrivals.pop_min_age() is None


def test_silence_lasts_from_the_first_empty_answer() -> None:
    """Until a message arrives."""
    arrivals = Arrivals()
    assert arrivals.silent_seconds(100) == 0
    for now in (100, 120, 140):
        arrivals.record_answer(0, None, now)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(150)) == (3, 50)
    arrivals.record_answer(1, None, 150)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(160)) == (0, 0)


def test_a_silence_that_was_reset_begins_anew() -> None:
    """With the next empty answer."""
    arrivals = Arrivals()
    arrivals.record_answer(0, None, 100)
    arrivals.reset_silence()
    assert arrivals.silent_seconds(200) == 0
    arrivals.record_answer(0, None, 200)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(210)) == (1, 10)


def test_an_idle_pipeline_has_no_lag() -> None:
    """Nothing arrived and nothing is held."""
    assert lag_of([None, None], math.inf, 1_800_000_000) == 0


def test_of_several_queues_the_worst_counts() -> None:
    """A fresh queue does not mask a late one."""
    assert lag_of([0.2, 3600.0, None], math.inf, 1_800_000_000) == 3600


def test_lag_grows_with_held_messages_while_nothing_arrives() -> None:
    """Held messages show a stalled database, second by second."""
    assert [lag_of([None], 1000, now) for now in (1005, 1065)] == [5, 65]


@given(ages=st.lists(st.none() | AGES), sent_at=st.floats(0, 2e9) | st.just(math.inf), now=st.floats(0, 2e9))
def test_lag_is_the_largest_known_age(ages: list[float | None], sent_at: float, now: float) -> None:
    """It is one of the ages or zero, never negative though clocks differ, and never infinite."""
    known = [age for age in ages if age is not None]
    lag = lag_of(ages, sent_at, now)
    assert lag >= max([0, *known])
    assert lag in [0, now - sent_at, *known]
    assert math.isfinite(lag)
