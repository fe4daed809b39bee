"""What follows a failure, and what the bill allows."""

from __future__ import annotations

import pytest

from subscriber.enrich.policy import (
    ATTEMPTS_AT_MOST,
    DENIED_SECONDS,
    NextTry,
    cost_dollars,
    is_denied,
    next_try,
    pause_seconds,
    requests_allowed,
)


def test_delays_grow_until_a_version_is_given_up() -> None:
    """Each is twice the one before, an hour at most; the last attempt is the last."""
    delays = [next_try("SlowDown", attempts, chance=1.0).seconds for attempts in range(1, ATTEMPTS_AT_MOST + 1)]
    assert delays == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, None]


@pytest.mark.parametrize("code", ["AccessDenied", "Http403"])
def test_a_missing_right_uses_up_no_attempt(code: str) -> None:
    """Whoever corrects the policy finds every version still waiting."""
    assert is_denied(code)
    assert next_try(code, 1000) == NextTry(DENIED_SECONDS, counts=False)


def test_denials_without_another_outcome_pause_the_worker() -> None:
    """One try of each loop is no reason yet; then pauses grow to ten minutes."""
    assert pause_seconds(15, 16) == 0.0
    assert [pause_seconds(count, 16, chance=1.0) for count in (16, 17, 18, 100)] == [5.0, 10.0, 20.0, 600.0]


def test_a_bill_allows_so_many_requests() -> None:
    """At 0.40 USD a million; without a bound or a price any number."""
    assert requests_allowed(2.0, 0.4) == 5_000_000
    assert requests_allowed(0.0, 0.4) is None
    assert requests_allowed(2.0, 0.0) is None
    assert cost_dollars(5_000_000, 0.4) == pytest.approx(2.0)
