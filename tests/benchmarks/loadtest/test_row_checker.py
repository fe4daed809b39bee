"""The row checker notices every kind of wrong row, and counts each once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loadtest.row_checker import CheckResult, differences
from testkit.workload.bucket import VersionRow


def row(number: int, etag: str = "a") -> VersionRow:
    """A row whose key is its number."""
    return VersionRow("bucket", f"{number:03}", "", "present", 1, etag)


async def cursor(rows: Iterable[VersionRow]) -> AsyncIterator[VersionRow]:
    """Rows as a cursor gives them."""
    for each in rows:
        yield each


ROWS_BY_NUMBER = st.dictionaries(st.integers(0, 20), st.sampled_from(["a", "b"]))


@given(ROWS_BY_NUMBER, ROWS_BY_NUMBER)
async def test_each_wrong_row_counts_once(expected: dict[int, str], stored: dict[int, str]) -> None:
    """Missing, surplus and differing rows are counted, whatever rows are next to them."""
    wrong = sum(expected.get(number) != stored.get(number) for number in expected.keys() | stored.keys())
    wanted = iter([row(number, expected[number]) for number in sorted(expected)])
    assert await differences(wanted, cursor(row(number, stored[number]) for number in sorted(stored))) == wrong


@pytest.mark.parametrize("fault", CheckResult.__struct_fields__)
def test_any_fault_counts(fault: str) -> None:
    """A result is flawless if all its counts are zero."""
    assert CheckResult(0, 0, 0).is_flawless
    assert not CheckResult(**{"wrong_versions": 0, "wrong_objects": 0, "lost": 0, fault: 1}).is_flawless
