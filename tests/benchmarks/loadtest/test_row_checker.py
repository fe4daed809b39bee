"""The oracle notices every kind of wrong row, and counts each once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loadtest.row_checker import CheckResult, differences
from testkit.workload.bucket import VersionRow


def row(number: int, etag: str = "a") -> VersionRow:
    """A row whose place is its number."""
    return VersionRow("bucket", f"{number:03}", "", "present", 1, etag)


async def held(rows: Iterable[VersionRow]) -> AsyncIterator[VersionRow]:
    """Rows as a cursor gives them."""
    for each in rows:
        yield each


PLACES = st.dictionaries(st.integers(0, 20), st.sampled_from(["a", "b"]))


@given(PLACES, PLACES)
async def test_each_wrong_row_counts_once(expected: dict[int, str], stored: dict[int, str]) -> None:
    """Missing, surplus and differing rows are counted, whatever lies beside them."""
    wrong = sum(expected.get(place) != stored.get(place) for place in expected.keys() | stored.keys())
    mine = iter([row(place, expected[place]) for place in sorted(expected)])
    assert await differences(mine, held(row(place, stored[place]) for place in sorted(stored))) == wrong


@pytest.mark.parametrize("fault", CheckResult.__struct_fields__)
def test_any_fault_is_a_fault(fault: str) -> None:
    """Flawless means zero everywhere."""
    assert CheckResult(0, 0, 0).is_flawless
    assert not CheckResult(**{"wrong_versions": 0, "wrong_objects": 0, "lost": 0, fault: 1}).is_flawless
