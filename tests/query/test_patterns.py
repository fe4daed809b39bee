"""Globs, regular expressions and prefixes: what an index can answer of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.query.patterns import Glob, escaped, parse_glob, prefix_end, regex_prefix


@pytest.mark.parametrize(
    ("glob", "prefix", "suffix"),
    [
        ("raw/*/part-?.parquet", "raw/", ".parquet"),
        ("raw/2026-*", "raw/2026-", ""),
        ("**/manifest.json", "", "manifest.json"),
        ("[!a-c]*", "", ""),
        (r"x\*y*z", "x*y", "z"),
        ("*", "", ""),
    ],
)
def test_literal_ends_of_a_glob(glob: str, prefix: str, suffix: str) -> None:
    """The text before the first wildcard and behind the last one, without backslashes."""
    found = parse_glob(glob)
    assert (found.prefix, found.suffix, found.is_literal) == (prefix, suffix, False)


def test_a_glob_without_a_wildcard_is_one_key() -> None:
    """It is looked up and not searched."""
    assert parse_glob(r"a.b\?") == Glob("a.b?", "a.b?", r"a\.b\?", is_literal=True)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.csv", ["a.csv", ".csv", "ä.csv"], ["a/b.csv", "a.csvx", "axcsv"]),
        ("**.csv", ["a.csv", "a/b.csv"], ["a.csv/"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/x/"]),
        ("a/**/x", ["a/x", "a/b/x", "a/b/c/x"], ["ax", "b/a/x"]),
        ("a?c", ["abc", "a.c"], ["ac", "a/c", "abbc"]),
        ("[a-c]1", ["a1", "c1"], ["d1", "A1"]),
        ("[!a-c]1", ["d1", "é1"], ["a1", "/1"]),
        ("[].[]1", ["]1", ".1", "[1"], ["a1"]),
        ("a+(b)|c^$", ["a+(b)|c^$"], ["aab", "c"]),
    ],
)
def test_the_regular_expression_of_a_glob(glob: str, matching: list[str], others: list[str]) -> None:
    """It matches whole texts; test_search.py has PostgreSQL match some like them."""
    whole = re.compile(f"{parse_glob(glob).regex}", re.DOTALL)
    assert [text for text in matching if not whole.fullmatch(text)] == []
    assert [text for text in others if whole.fullmatch(text)] == []


@pytest.mark.parametrize(("glob", "problem"), [("[a", "has no ]"), ("a\\", "nothing follows"), ("x[]", "character 2")])
def test_a_glob_that_is_none(glob: str, problem: str) -> None:
    """The sentence says where."""
    with pytest.raises(ValueError, match=problem):
        parse_glob(glob)


@pytest.mark.parametrize(
    ("regex", "prefix"),
    [
        ("^raw/2026", "raw/2026"),
        ("^raw/2026-1*x", "raw/2026-"),
        ("^ab?c", "a"),
        ("^ab+c", "a"),
        ("^ab{2}", "a"),
        (r"^a\.b\d", "a.b"),
        ("^abc$", "abc"),
        ("^a(b)", "a"),
        ("^a|b", ""),
        ("^(a|b)", ""),
        ("raw/", ""),
        ("(?i)^raw", ""),
        ("***=^raw", ""),
        ("", ""),
    ],
)
def test_the_literal_beginning_of_a_regular_expression(regex: str, prefix: str) -> None:
    """Only as far as it must be in every match; a character that may be absent is not."""
    assert regex_prefix(regex) == prefix


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning", "ignore:Possible set:FutureWarning")
@given(st.text(alphabet="ab.*+?()[]{}|^$\\/-", max_size=12), st.text(alphabet="ab.*/-", max_size=12))
def test_no_match_is_outside_the_literal_beginning(pattern: str, text: str) -> None:
    """Whatever matches an anchored expression begins with the text that the range of keys is made of."""
    regex = f"^{pattern}"
    try:
        found = re.match(regex, text)
    except re.error:
        return
    assert not found or text.startswith(regex_prefix(regex))


@given(st.text(max_size=20))
def test_an_escaped_text_matches_only_itself(text: str) -> None:
    """Whatever it consists of."""
    assert re.fullmatch(escaped(text), text, re.DOTALL)
    assert not re.fullmatch(escaped(text), f"{text}x", re.DOTALL)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_is_below_the_end_exactly_if_it_has_the_prefix(prefix: str, key: str) -> None:
    """Among the keys that are not below the prefix; by the bytes of UTF-8."""
    if key.encode() >= prefix.encode():
        assert (key.encode() < prefix_end(prefix).encode()) == key.startswith(prefix)
