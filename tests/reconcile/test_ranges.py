"""Ranges cover their keys once each, and cuts lie where S3 accepts them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.key import MAX_KEY_BYTES, is_storable
from subscriber.model import KeyRange
from subscriber.reconcile.ranges import (
    LAST,
    end_of_prefix,
    middle,
    prefix_range,
    quantiles,
    ranges_between,
    shared_length,
)

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
NARROW = st.text(st.sampled_from("\x01\x02a\x7f\x80\ud7ff\ue000" + LAST), min_size=1, max_size=5)


@given(st.lists(KEYS, max_size=10), KEYS | st.just(""), st.none() | KEYS, st.lists(KEYS, max_size=20))
def test_ranges_cover_each_key_once(cuts: list[str], after: str, upto: str | None, keys: list[str]) -> None:
    """Whatever the cuts are: unsorted, twice, or outside."""
    within = KeyRange(after, upto if upto is None or upto > after else None)
    ranges = ranges_between(cuts, within)
    assert (ranges[0].after, ranges[-1].upto) == (within.after, within.upto)
    assert all(one.upto == other.after for one, other in itertools.pairwise(ranges))
    assert all(part.upto is None or part.after < part.upto for part in ranges)
    for key in keys:
        inside = key > within.after and (within.upto is None or key <= within.upto)
        holders = [part for part in ranges if key > part.after and (part.upto is None or key <= part.upto)]
        assert len(holders) == int(inside)


@given(st.lists(KEYS, unique=True, max_size=60).map(sorted), st.integers(1, 10))
def test_quantiles_divide_a_sample_evenly(keys: list[str], count: int) -> None:
    """No part of a sample has more than its share, rounded up."""
    parts = ranges_between(quantiles(keys, count), KeyRange())
    sizes = [sum(key > part.after and (part.upto is None or key <= part.upto) for key in keys) for part in parts]
    assert len(parts) <= count
    assert max(sizes) <= -(-len(keys) // count) + (len(keys) == 0)


@given(KEYS | NARROW | st.just(""), st.none() | KEYS | NARROW)
def test_the_middle_lies_between(after: str, upto: str | None) -> None:
    """Strictly, and it is a key that S3 and PostgreSQL accept; without a limit there is always one."""
    if upto is not None and upto <= after:
        after, upto = upto, after + "a"
    found = middle(after, upto)
    if upto is None:
        assert found is not None
    if found is not None:
        assert after < found
        assert upto is None or found < upto
        assert is_storable(found, MAX_KEY_BYTES)


@given(NARROW | KEYS, NARROW | KEYS)
def test_there_is_a_middle_wherever_there_is_room(one: str, other: str) -> None:
    """Only neighbors have none: a key, and itself followed by the first character."""
    after, upto = sorted((one, other + "ab"))
    if after < upto:
        assert middle(after, upto) is not None or upto == after + "\x01"


@pytest.mark.parametrize(
    ("after", "upto", "cut"),
    [
        ("", None, "@"),
        ("a", "c", "b"),
        ("a", "b", "a@"),
        ("a", "a\x01", None),
        ("a", "a\x01x", "a\x01"),
        ("lake/a", "lake/z", "lake/m"),
        ("\ud7ff", "\ue001", "\ue000"),
        ("\ud7fe", "\ue000", "\ud7ff"),
        ("~", None, chr((0x7E + 0x110000) // 2)),
        (LAST * 256, None, None),
    ],
)
def test_the_middle_of_some_keys(after: str, upto: str | None, cut: str | None) -> None:
    """Between code points, without surrogates, within 1,024 bytes, and near ASCII where the lower key is ASCII."""
    assert middle(after, upto) == cut


@pytest.mark.parametrize(
    ("first", "keys", "depth", "cut"),
    [
        ("lake/x", KeyRange(), 6, "lak" + LAST),
        ("lake/x", KeyRange("", "lak" + LAST), 6, "lake" + LAST),
        ("lake/x", KeyRange("", "lake" + LAST), 6, "lake/" + LAST),
        ("lake/x", KeyRange("", "lake/" + LAST), 6, None),
        ("lake/x", KeyRange(), 1, None),
        ("lake/x", KeyRange("", "m"), 6, None),
        (LAST * 3, KeyRange(), 3, None),
    ],
)
def test_the_end_of_a_prefix_is_a_cut(first: str, keys: KeyRange, depth: int, cut: str | None) -> None:
    """Half as deep as the range may branch, while its end does not tell how much is shared."""
    assert end_of_prefix(first, keys, depth) == cut


@given(KEYS, KEYS)
def test_the_shared_length(one: str, other: str) -> None:
    """All before it is equal, and what follows is not."""
    length = shared_length(one, other)
    assert one[:length] == other[:length]
    assert length in {len(one), len(other)} or one[length] != other[length]


@given(NARROW | KEYS | st.just(""), NARROW | KEYS | st.just(""))
def test_a_prefix_has_a_range_with_all_its_keys(prefix: str, rest: str) -> None:
    """It may be given to the tables of jobs, and no key with another beginning of that length lies above it."""
    found = prefix_range(prefix)
    assert is_storable(found.after, MAX_KEY_BYTES)
    assert found.upto is None or is_storable(found.upto, MAX_KEY_BYTES)
    if prefix + rest:
        assert found.after < prefix + rest
        assert found.upto is None or prefix + rest <= found.upto
    if prefix and rest and not prefix.startswith(rest) and not rest.startswith(prefix) and rest > prefix:
        assert found.upto is not None
        assert rest > found.upto
