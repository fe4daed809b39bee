"""When the task requests protection and releases it: the decision alone, for any history of work and answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.adapters.ecs import policy as rules
from subscriber.adapters.ecs.answers import Denied, Granted, denied
from subscriber.adapters.ecs.policy import RETRY, ProtectionState, Request, answered, observed, request_at

GRANTED = Granted()
THROTTLED = denied("ThrottlingException")
NOT_ALLOWED = denied("AccessDeniedException")

Sent = list[tuple[float, Request]]


def requests(seconds: int, work: Iterator[bool], answers: Iterator[Granted | Denied]) -> tuple[Sent, ProtectionState]:
    """Every request in so many seconds, and the state afterwards."""
    state, sent = ProtectionState(), []
    for now in range(seconds):
        state = observed(state, now, is_at_work=next(work))
        request = request_at(state, now)
        if request is not None:
            sent.append((float(now), request))
            state = answered(state, now, request, next(answers))
    return sent, state


def always(answer: Granted | Denied) -> Iterator[Granted | Denied]:
    """The same answer forever."""
    while True:
        yield answer


def work_in(*periods: range) -> Iterator[bool]:
    """Work in these seconds, none in others."""
    second = 0
    while True:
        yield any(second in period for period in periods)
        second += 1


def test_a_period_of_work_is_protected_and_then_released() -> None:
    """Set after five seconds of work, released after thirty without."""
    assert requests(200, work_in(range(10, 60)), always(GRANTED))[0] == [(15, "protect"), (90, "release")]


def test_a_moment_of_work_is_not_protected() -> None:
    """A batch now and then, less than five seconds of it with half a minute between, is no period of work."""
    periods = [range(start, start + 3) for start in range(0, 900, 60)]
    assert requests(900, work_in(*periods), always(GRANTED))[0] == []


def test_protection_is_renewed_before_it_expires() -> None:
    """A request for ten minutes, and another five minutes later."""
    sent = requests(700, work_in(range(700)), always(GRANTED))[0]
    assert sent == [(5, "protect"), (306, "protect"), (607, "protect")]


def test_work_without_end_is_protected_once() -> None:
    """After a quarter of an hour the task is unprotected, until it has been idle."""
    sent = requests(5000, work_in(range(4000), range(4100, 4200)), always(GRANTED))[0]
    assert sent[:4] == [(5, "protect"), (306, "protect"), (607, "protect"), (901, "release")]
    assert sent[4:] == [(4105, "protect"), (4230, "release")]


def test_a_lasting_denial_is_retried_seldom() -> None:
    """An operator may have corrected the role meanwhile, but a request every second would be needless."""
    sent = requests(2000, work_in(range(890), range(925, 2000)), always(NOT_ALLOWED))[0]
    assert sent == [(5, "protect"), (930, "protect")]


def test_a_passing_denial_is_retried_with_backoff() -> None:
    """Ten seconds, twenty, forty … five minutes at most."""
    assert [RETRY.delay_seconds(failures, chance=1.0) for failures in range(1, 8)] == [10, 20, 40, 80, 160, 300, 300]
    sent = requests(200, work_in(range(200)), always(THROTTLED))[0]
    assert sent == [(5, "protect"), (15, "protect"), (35, "protect"), (75, "protect"), (155, "protect")]


def test_a_request_that_may_have_arrived_is_released() -> None:
    """A request whose answer was lost may have protected the task: the task releases it all the same."""
    answers: list[Granted | Denied] = [denied("Timeout")] * 3
    sent = requests(120, work_in(range(8)), iter([*answers, GRANTED]))[0]
    assert sent == [(5, "protect"), (15, "protect"), (35, "protect"), (75, "release")]


def test_a_request_that_was_denied_for_good_is_not_released() -> None:
    """There is nothing to release."""
    assert requests(1200, work_in(range(8)), always(NOT_ALLOWED))[0] == [(5, "protect")]


ANSWERS = st.sampled_from([GRANTED, THROTTLED, NOT_ALLOWED, denied("Timeout")])


@settings(max_examples=50, deadline=None)  # thousands of seconds each: how long the test takes is not the claim
@given(
    work=st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12),
    answers=st.lists(ANSWERS, max_size=12),
)
def test_protection_never_outlives_its_reason(work: list[tuple[bool, int]], answers: list[Granted | Denied]) -> None:
    """For any work and any answers: once idle, and once the agent answers, the task is released for good."""
    seconds_at_work = [is_at_work for is_at_work, seconds in work for _ in range(seconds)]
    # Every answer may be a denial that is retried after the longest pause.
    quiet = int(rules.IDLE_AFTER_SECONDS + rules.LASTING_RETRY_SECONDS * (len(answers) + 1))

    def then_granted() -> Iterator[Granted | Denied]:
        yield from answers
        yield from always(GRANTED)

    end = len(seconds_at_work) + quiet
    sent, state = requests(end, iter(seconds_at_work + [False] * quiet), then_granted())
    assert state.possible_until <= end
    assert request_at(state, end) is None
    times = [at for at, _ in sent]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=60, max_size=1500))
def test_no_release_during_a_short_period_of_work(seconds_at_work: list[bool]) -> None:
    """As long as work never pauses for thirty seconds, and lasts less than a quarter of an hour."""
    seconds_at_work = [True, *seconds_at_work][:890]
    padded = [is_at_work or second % 20 == 0 for second, is_at_work in enumerate(seconds_at_work)]
    sent = requests(len(padded), iter(padded), always(GRANTED))[0]
    assert "release" not in {request for _, request in sent}


def test_a_state_is_data() -> None:
    """A state can be shown and compared: it explains a decision."""
    state = observed(ProtectionState(), 7.0, is_at_work=True)
    assert msgspec.structs.asdict(state)["working_since"] == 7.0
