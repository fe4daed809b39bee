"""Arrivals and lag: ages that are told once, silence that is forgotten in time, and the worst of what is known."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.observer import lag_of
from subscriber.signals import Arrivals

AGES = st.floats(0, 1e6)


def test_the_youngest_age_is_told_once() -> None:
    """The smallest of all answers since it was last taken; without a new one there is none."""
    arrivals = Arrivals()
    for age in (7.0, 3.0, None, 5.0):
        arrivals.answered(1, age, 0)
    assert arrivals.pop_min_age() == 3
    assert arrivals.pop_min_age() is None


def test_silence_lasts_from_the_first_empty_answer() -> None:
    """Until a message comes."""
    arrivals = Arrivals()
    assert arrivals.silent_seconds(100) == 0
    for now in (100, 120, 140):
        arrivals.answered(0, None, now)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(150)) == (3, 50)
    arrivals.answered(1, None, 150)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(160)) == (0, 0)


def test_a_forgotten_silence_begins_anew() -> None:
    """With the next empty answer, not with the first of before."""
    arrivals = Arrivals()
    arrivals.answered(0, None, 100)
    arrivals.forget_silence()
    assert arrivals.silent_seconds(200) == 0
    arrivals.answered(0, None, 200)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(210)) == (1, 10)


def test_an_idle_line_is_not_late() -> None:
    """Nothing came and nothing is inside."""
    assert lag_of([None, None], math.inf, 1_800_000_000) == 0


def test_of_several_queues_the_worst_counts() -> None:
    """A fresh queue does not hide a late one."""
    assert lag_of([0.2, 3600.0, None], math.inf, 1_800_000_000) == 3600


def test_what_is_inside_grows_old_while_nothing_comes() -> None:
    """A database that stands still is seen by what is held, second by second."""
    assert [lag_of([None], 1000, now) for now in (1005, 1065)] == [5, 65]


@given(ages=st.lists(st.none() | AGES), sent_at=st.floats(0, 2e9) | st.just(math.inf), now=st.floats(0, 2e9))
def test_lag_is_at_least_every_age_and_none_of_them_is_made_up(
    ages: list[float | None], sent_at: float, now: float
) -> None:
    """It is one of the ages or nothing, never negative though clocks differ, and never infinite."""
    known = [age for age in ages if age is not None]
    lag = lag_of(ages, sent_at, now)
    assert lag >= max([0, *known])
    assert lag in [0, now - sent_at, *known]
    assert math.isfinite(lag)
