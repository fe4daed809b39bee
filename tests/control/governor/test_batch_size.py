"""How many rows a statement may have, by what a row costs the database."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.decide import decide
from subscriber.control.governor.memory import WindowedMin
from subscriber.control.governor.prediction import RowCost
from subscriber.control.governor.setpoints import ROWS_AT_LEAST, STATEMENT_LOAD_SECONDS, rows_at_most
from tests.control.readings import OPTIONS, busy, run, settled


def costing(points: float) -> RowCost:
    """A row a second takes so many points of the CPU."""
    return RowCost(least=WindowedMin(this=points))


@pytest.mark.parametrize(
    ("row_microseconds", "cores", "rows"),
    [
        (15, 1, 1000),  # a plain row: 15 ms of the database for a thousand
        (200, 1, 500),  # a thousand would take it for a fifth of a second
        (200, 8, 1000),  # the same rows are little for a large one
        (1500, 1, 100),  # never fewer, whatever they cost
    ],
)
def test_a_statement_takes_a_tenth_of_a_second_of_the_whole_database(
    row_microseconds: float, cores: int, rows: int
) -> None:
    """And no more rows than the operator has set."""
    points = 100 * row_microseconds / 1e6 / cores
    assert rows_at_most(OPTIONS, costing(points), 0.5) == pytest.approx(rows, abs=1)


@pytest.mark.parametrize(("limit", "rows"), [(0.05, 250), (0.99, 250), (1.0, 1000), (8.0, 1000)])
def test_what_is_not_known_is_tried_in_small(limit: float, rows: int) -> None:
    """Below one only: from there on several statements even each other out."""
    assert rows_at_most(OPTIONS, RowCost(), limit) == rows


def test_without_a_sensor_nothing_is_held_back() -> None:
    """Nobody has asked for it."""
    options = msgspec.structs.replace(OPTIONS, has_load_signal=False)
    assert rows_at_most(options, costing(1.0), 0.05) == options.batch_max_rows


@given(
    points=st.floats(allow_nan=True, allow_infinity=True),
    limit=st.floats(0.01, 100),
    most=st.integers(1, 10_000),
)
def test_it_keeps_its_bounds(points: float, limit: float, most: int) -> None:
    """Whatever a sensor has said; and a statement that may be larger than the least is within its share."""
    rows = rows_at_most(msgspec.structs.replace(OPTIONS, batch_max_rows=most), costing(points), limit)
    assert min(ROWS_AT_LEAST, most) <= rows <= most
    if math.isfinite(points) and points > 0 and rows > ROWS_AT_LEAST:
        assert rows * points <= 100 * STATEMENT_LOAD_SECONDS * (1 + 1e-9)


def test_every_decision_says_it() -> None:
    """By the cheapest row of late, so that a neighbor makes statements no smaller; a repeated reading too."""
    state = settled(0.5)
    cost = 58.0 / (10_000 * 0.5)
    state, decisions = run(state, range(20, 25), lambda at, limit: busy(at, limit, 90.0, rows_per_second=2_500))
    expected = int(100 * STATEMENT_LOAD_SECONDS / cost)
    assert {each.batch_rows for each in decisions} == {expected}
    assert decide(OPTIONS, state, busy(24, state.limit, 58.0))[1].batch_rows == expected
