"""Backoff: its bounds and its jitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.flow.backoff import Backoff, delay_as_asked, is_power_of_two

BACKOFF = Backoff(first_seconds=0.2, max_seconds=20, jitter=0.5)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.2), (1, 0.2), (2, 0.4), (3, 0.8), (8, 20), (10**9, 20)])
def test_the_bound_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    """From the first failure on, for any number of failures."""
    assert BACKOFF.delay_seconds(failures, chance=1) == pytest.approx(seconds)


@pytest.mark.parametrize(("jitter", "least"), [(0, 1.0), (0.2, 0.8), (0.5, 0.5), (1, 0.0)])
def test_chance_reduces_a_delay_by_at_most_the_jitter(jitter: float, least: float) -> None:
    """Nothing without jitter, the whole delay with full jitter."""
    backoff = Backoff(first_seconds=1, max_seconds=1, jitter=jitter)
    assert backoff.delay_seconds(1, chance=0) == pytest.approx(least)
    assert backoff.delay_seconds(1, chance=1) == pytest.approx(1)


@given(st.integers(0, 1000))
def test_a_drawn_delay_is_within_the_bounds(failures: int) -> None:
    """A random delay is never longer than the bound, nor shorter than the jitter allows."""
    assert 0.5 * BACKOFF.delay_seconds(failures, 1) <= BACKOFF.delay_seconds(failures) <= 20


def test_few_of_many_failures_are_logged() -> None:
    """The powers of two: eleven of the first 1024."""
    assert [count for count in range(-1, 1025) if is_power_of_two(count)] == [2**power for power in range(11)]


@pytest.mark.parametrize(
    ("own", "asked", "delay"), [(2.0, 0.0, 2.0), (2.0, 1.0, 2.0), (2.0, 6.5, 6.5), (2.0, 7.5, 7.0), (0.0, 1e9, 5.0)]
)
def test_a_service_may_ask_for_a_longer_delay(own: float, asked: float, delay: float) -> None:
    """Never for a shorter one, and for five seconds more at most."""
    assert delay_as_asked(own, asked) == delay
