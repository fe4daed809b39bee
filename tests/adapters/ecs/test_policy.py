"""When protection is asked for and let go: the decision alone, over any history of work and answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.adapters.ecs import policy as rules
from subscriber.adapters.ecs.answers import Denied, Granted, denied
from subscriber.adapters.ecs.policy import Order, ProtectionState, answered, backoff_seconds, looked, order_at

GRANTED = Granted()
THROTTLED = denied("ThrottlingException")
NOT_ALLOWED = denied("AccessDeniedException")

Given = list[tuple[float, Order]]


def orders(seconds: int, work: Iterator[bool], answers: Iterator[Granted | Denied]) -> tuple[Given, ProtectionState]:
    """Every order that is given in so many looks, one a second, and the state afterwards."""
    state, given_orders = ProtectionState(), []
    for now in range(seconds):
        state = looked(state, now, is_at_work=next(work))
        order = order_at(state, now)
        if order is not None:
            given_orders.append((float(now), order))
            state = answered(state, now, order, next(answers))
    return given_orders, state


def always(answer: Granted | Denied) -> Iterator[Granted | Denied]:
    """The same answer for ever."""
    while True:
        yield answer


def work_in(*spells: range) -> Iterator[bool]:
    """Work in these seconds, none in others."""
    second = 0
    while True:
        yield any(second in spell for spell in spells)
        second += 1


def test_a_spell_of_work_is_protected_and_then_released() -> None:
    """Set after five seconds of work, released after thirty without."""
    assert orders(200, work_in(range(10, 60)), always(GRANTED))[0] == [(15, "protect"), (90, "release")]


def test_a_moment_of_work_is_not_protected() -> None:
    """A batch now and then, less than five seconds of it with half a minute between, is no spell."""
    spells = [range(start, start + 3) for start in range(0, 900, 60)]
    assert orders(900, work_in(*spells), always(GRANTED))[0] == []


def test_protection_is_renewed_before_it_expires() -> None:
    """Ten minutes are asked for, and five minutes later again."""
    given_orders = orders(700, work_in(range(700)), always(GRANTED))[0]
    assert given_orders == [(5, "protect"), (306, "protect"), (607, "protect")]


def test_work_without_end_is_protected_once() -> None:
    """After a quarter of an hour the task is like any other, until it has been idle."""
    given_orders = orders(5000, work_in(range(4000), range(4100, 4200)), always(GRANTED))[0]
    assert given_orders[:4] == [(5, "protect"), (306, "protect"), (607, "protect"), (901, "release")]
    assert given_orders[4:] == [(4105, "protect"), (4230, "release")]


def test_a_lasting_denial_is_tried_again_seldom() -> None:
    """The role may be mended meanwhile, but it is not asked for every second."""
    given_orders = orders(2000, work_in(range(890), range(925, 2000)), always(NOT_ALLOWED))[0]
    assert given_orders == [(5, "protect"), (930, "protect")]


def test_a_passing_denial_is_tried_again_with_growing_pauses() -> None:
    """Ten seconds, twenty, forty … five minutes at most."""
    assert [backoff_seconds(failures) for failures in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    given_orders = orders(200, work_in(range(200)), always(THROTTLED))[0]
    assert given_orders == [(5, "protect"), (15, "protect"), (35, "protect"), (75, "protect"), (155, "protect")]


def test_what_may_have_been_heard_is_released() -> None:
    """A request whose answer was lost may have protected the task: it is let go of all the same."""
    answers: list[Granted | Denied] = [denied("Timeout")] * 3
    given_orders = orders(120, work_in(range(8)), iter([*answers, GRANTED]))[0]
    assert given_orders == [(5, "protect"), (15, "protect"), (35, "protect"), (75, "release")]


def test_what_cannot_have_been_heard_is_not_released() -> None:
    """After a refusal for good there is nothing to release."""
    assert orders(1200, work_in(range(8)), always(NOT_ALLOWED))[0] == [(5, "protect")]


ANSWERS = st.sampled_from([GRANTED, THROTTLED, NOT_ALLOWED, denied("Timeout")])


@settings(max_examples=50, deadline=None)  # thousands of looks each: how long they take is not the claim
@given(
    work=st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12),
    answers=st.lists(ANSWERS, max_size=12),
)
def test_protection_never_outlives_its_reason(work: list[tuple[bool, int]], answers: list[Granted | Denied]) -> None:
    """Whatever the work and the answers were: once idle, and once the agent answers, the task is released for good."""
    looks = [is_at_work for is_at_work, seconds in work for _ in range(seconds)]
    # Every answer there is may be a refusal that is tried again after the longest pause.
    quiet = int(rules.IDLE_AFTER_SECONDS + rules.LASTING_RETRY_SECONDS * (len(answers) + 1))

    def then_granted() -> Iterator[Granted | Denied]:
        yield from answers
        yield from always(GRANTED)

    end = len(looks) + quiet
    given_orders, state = orders(end, iter(looks + [False] * quiet), then_granted())
    assert state.possible_until <= end
    assert order_at(state, end) is None
    times = [at for at, _ in given_orders]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=60, max_size=1500))
def test_no_release_while_a_short_spell_lasts(looks: list[bool]) -> None:
    """As long as work never pauses for thirty seconds, and not yet for a quarter of an hour, nothing is let go."""
    looks = [True, *looks][:890]
    padded = [look or second % 20 == 0 for second, look in enumerate(looks)]
    given_orders = orders(len(padded), iter(padded), always(GRANTED))[0]
    assert "release" not in {order for _, order in given_orders}


def test_a_state_is_data() -> None:
    """A state can be shown and compared: it is what a decision is explained by."""
    state = looked(ProtectionState(), 7.0, is_at_work=True)
    assert msgspec.structs.asdict(state)["spell_since"] == 7.0
