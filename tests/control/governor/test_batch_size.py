"""How many rows a statement may have, by the cost of a row."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.decide import decide
from subscriber.control.governor.memory import WindowedMin
from subscriber.control.governor.prediction import RowCost
from subscriber.control.governor.setpoints import ROWS_AT_LEAST, STATEMENT_LOAD_SECONDS, rows_for_cost
from tests.control.readings import OPTIONS, busy, run, settled


def costing(points: float) -> RowCost:
    """One row a second costs so many percentage points of CPU."""
    return RowCost(least=WindowedMin(this=points))


@pytest.mark.parametrize(
    ("row_microseconds", "cores", "rows"),
    [
        (15, 1, 1000),  # a plain row: 15 ms of the database for a thousand
        (200, 1, 500),  # a thousand would occupy it for a fifth of a second
        (200, 8, 1000),  # the same rows are cheap for a large database
        (1500, 1, 100),  # never fewer, at any cost
    ],
)
def test_a_statement_takes_a_tenth_of_a_second_of_the_whole_database(
    row_microseconds: float, cores: int, rows: int
) -> None:
    """And has no more rows than the operator's maximum."""
    points = 100 * row_microseconds / 1e6 / cores
    assert rows_for_cost(OPTIONS, costing(points), 0.5) == pytest.approx(rows, abs=1)


@pytest.mark.parametrize(("limit", "rows"), [(0.05, 250), (0.99, 250), (1.0, 1000), (8.0, 1000)])
def test_an_unknown_row_cost_means_small_statements(limit: float, rows: int) -> None:
    """Below one only: above it several statements average each other."""
    assert rows_for_cost(OPTIONS, RowCost(), limit) == rows


def test_without_a_sensor_the_maximum_applies() -> None:
    """The operator chose no feedback."""
    options = msgspec.structs.replace(OPTIONS, has_load_signal=False)
    assert rows_for_cost(options, costing(1.0), 0.05) == options.batch_max_rows


@given(
    points=st.floats(allow_nan=True, allow_infinity=True),
    limit=st.floats(0.01, 100),
    most=st.integers(1, 10_000),
)
def test_it_keeps_its_bounds(points: float, limit: float, most: int) -> None:
    """For any cost; and a statement above the minimum stays within its share of the CPU."""
    rows = rows_for_cost(msgspec.structs.replace(OPTIONS, batch_max_rows=most), costing(points), limit)
    assert min(ROWS_AT_LEAST, most) <= rows <= most
    if math.isfinite(points) and points > 0 and rows > ROWS_AT_LEAST:
        assert rows * points <= 100 * STATEMENT_LOAD_SECONDS * (1 + 1e-9)


def test_every_decision_contains_the_number() -> None:
    """By the cheapest recent row, so that a noisy neighbor does not shrink statements; a repeated reading too."""
    state = settled(0.5)
    cost = 58.0 / (10_000 * 0.5)
    state, decisions = run(state, range(20, 25), lambda at, limit: busy(at, limit, 90.0, rows_per_second=2_500))
    expected = int(100 * STATEMENT_LOAD_SECONDS / cost)
    assert {each.batch_rows for each in decisions} == {expected}
    assert decide(OPTIONS, state, busy(24, state.limit, 58.0))[1].batch_rows == expected
