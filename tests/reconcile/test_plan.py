"""Plans: ranges as JSON Lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ConfigurationError, ExitCode
from subscriber.events.key import is_storable
from subscriber.model import KeyRange
from subscriber.reconcile.plan import PlannedRange, planned_range, range_line, read_plan

LINE = '{"Bucket": "lake", "Prefix": "a/", "After": "a/%41+\\u00e9", "UpTo": null}'
_KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def test_a_line_is_ascii_and_leaves_percent_and_plus_alone() -> None:
    """A form-decoder anywhere on the way would change the key."""
    planned = PlannedRange("lake", "a/", KeyRange("a/%41+é", None))
    assert range_line(planned) == LINE
    assert planned_range(LINE) == planned


@given(_KEYS, _KEYS)
def test_every_key_comes_back(after: str, more: str) -> None:
    """Whatever its characters are; a line is one line of printable ASCII."""
    planned = PlannedRange("lake", after, KeyRange(after, f"{after}{more}!"))
    line = range_line(planned)
    assert line.isascii()
    assert line.isprintable()
    assert planned_range(line) == planned
    assert json.loads(line)["UpTo"] == planned.keys.upto
    assert is_storable(after, 1024)


def test_a_plan_has_one_range_a_line_in_any_order() -> None:
    """Empty lines do not count, and gaps are allowed: some ranges may be done elsewhere."""
    ranges = [PlannedRange("b", "", KeyRange(*ends)) for ends in (("m", None), ("", "c"), ("c", "k"))]
    text = "\n\n".join(range_line(each) for each in ranges) + "\n"
    assert read_plan(text.splitlines()) == ranges
    assert read_plan([]) == []


def line(after: str, upto: str | None, bucket: str = "b") -> str:
    """One line."""
    return range_line(PlannedRange(bucket, "", KeyRange(after, upto)))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([line("", "c"), line("b", "d")], "lines 1 and 2 of the plan have keys in common"),
        ([line("m", "z"), "", line("", None)], "lines 1 and 3 of the plan have keys in common"),
        ([line("a", "b"), line("a", "b")], "lines 1 and 2 of the plan have keys in common"),
        (
            [line("", "c"), line("c", None, "other")],
            "line 2 of the plan is of s3://other/, and line 1 of s3://b/: a plan has one bucket and one prefix",
        ),
    ],
)
def test_ranges_that_do_not_fit_together_are_named(lines: list[str], problem: str) -> None:
    """A key that two tasks do would be reported twice."""
    with pytest.raises(ConfigurationError) as caught:
        read_plan(lines)
    assert str(caught.value) == problem
    assert caught.value.exit_code is ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"Bucket": "b", "After": ""}', "missing required field `UpTo`"),
        ('{"Bucket": "b", "After": "", "Upto": "c", "UpTo": null}', "unknown field `Upto`"),
        ('{"Bucket": "b", "After": "c", "UpTo": "c"}', "UpTo must come after After"),
        ('{"Bucket": "", "After": "", "UpTo": null}', "a bucket's name has 1 to 255 bytes"),
        ('{"Bucket": "b", "After": "\\u0000", "UpTo": null}', "After is no key"),
        (json.dumps({"Bucket": "b", "After": "", "UpTo": "é" * 513}), "UpTo is no key: at most 1024 bytes"),
        ('{"Bucket": "b", "After": "\ud800", "UpTo": null}', "is no range of a plan"),
    ],
)
def test_a_line_that_names_no_range_is_rejected(text: str, problem: str) -> None:
    """In one sentence that shows the line; a misspelled name must not make a range longer."""
    with pytest.raises(ConfigurationError) as caught:
        planned_range(text)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
