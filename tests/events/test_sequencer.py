"""Sequencers: one canonical form, ordered as S3 orders them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.events.sequencer import MAX_SEQUENCER_DIGITS, canonical_sequencer
from tests.events.samples import CANONICAL, PROPERTY, SECOND, SEQUENCER

DAY_SECONDS = 86_400

tails = st.text("0123456789ABCDEF", max_size=24)
seconds = st.integers(SECOND - DAY_SECONDS, SECOND + DAY_SECONDS)
aws_shaped = st.builds(lambda second, tail: f"{second:08X}{tail}", seconds, tails)


def padded(sequencer: str) -> str:
    """S3's rule for comparing: the shorter one is padded with zeros on the right."""
    return sequencer.ljust(MAX_SEQUENCER_DIGITS, "0")


@PROPERTY
@given(aws_shaped, aws_shaped)
def test_order_is_that_of_right_padding(one: str, other: str) -> None:
    """Canonical forms compare as sequencers do by S3's rule."""
    canonical_one, _ = canonical_sequencer(f"00{one}" if len(one) == 16 else one, SECOND)
    canonical_other, _ = canonical_sequencer(f"00{other}" if len(other) == 16 else other, SECOND)
    assert (canonical_one < canonical_other) == (padded(one) < padded(other))
    assert (canonical_one == canonical_other) == (padded(one) == padded(other))


def test_left_padding_would_be_wrong() -> None:
    """The shorter sequencer is not the older one, as old editions of the documentation say."""
    short, long = f"{SECOND + 1:08X}", f"{SECOND:08X}FFFF"
    assert canonical_sequencer(short, SECOND)[0] > canonical_sequencer(long, SECOND)[0]


@PROPERTY
@given(aws_shaped)
def test_case_prefix_and_trailing_zeros_do_not_matter(sequencer: str) -> None:
    """Every spelling of one sequencer has one canonical form."""
    canonical = canonical_sequencer(sequencer, SECOND)
    assert canonical_sequencer(sequencer.lower(), SECOND) == canonical
    assert canonical_sequencer(sequencer + "0", SECOND) == canonical or len(sequencer) == 17
    assert canonical_sequencer(canonical[0], SECOND) == canonical


@pytest.mark.parametrize("spelling", [SEQUENCER, SEQUENCER[2:], SEQUENCER.lower(), "80" + SEQUENCER[2:]])
def test_known_spellings(spelling: str) -> None:
    """With the prefix 00, 80 or none, in either case: the same event."""
    assert canonical_sequencer(spelling, SECOND) == (CANONICAL, False)


def test_midnight_of_lifecycle() -> None:
    """A tail of zeros, as lifecycle writes it, is ordered like any other."""
    midnight = SECOND - SECOND % DAY_SECONDS
    assert canonical_sequencer(f"00{midnight:08X}00000000", SECOND) == (f"{midnight:08X}".rstrip("0"), False)


@pytest.mark.parametrize(
    "unusable", [None, "", "xyz", "12G4", "0x12", "-12", " 12 ", "1_2", "١٢", "\uff21\uff22", "A" * 65, "\0", "A\n"]
)
def test_unusable_sequencer(unusable: str | None) -> None:
    """What is not up to 64 hexadecimal digits counts as missing: the event's own second replaces it."""
    assert canonical_sequencer(unusable, SECOND) == (f"{SECOND:08X}".rstrip("0"), True)


@pytest.mark.parametrize("off_seconds", [-DAY_SECONDS - 1, DAY_SECONDS + 1, -SECOND])
def test_other_sequencer_follows_the_second(off_seconds: int) -> None:
    """A sequencer that does not begin with the event's time gets it as a prefix, and is counted as derived."""
    other = f"{SECOND + off_seconds:08X}ABCDEF12"
    assert canonical_sequencer(other, SECOND) == (f"{SECOND:08X}{other}", True)


@pytest.mark.parametrize("off_seconds", [-DAY_SECONDS, 0, DAY_SECONDS])
def test_own_sequencer_within_a_day(off_seconds: int) -> None:
    """A difference of up to a day between sequencer and time is accepted."""
    own = f"{SECOND + off_seconds:08X}ABCDEF12"
    assert canonical_sequencer(own, SECOND) == (own, False)


@PROPERTY
@given(
    st.none() | st.text("0123456789ABCDEFabcdef", max_size=70) | st.text(),
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 999_999),
)
def test_form_fits_the_column(sequencer: str | None, second: int, microsecond: int | None) -> None:
    """The canonical form is at most 72 upper-case hex digits without a zero at the end."""
    canonical, _ = canonical_sequencer(sequencer, second, microsecond)
    assert len(canonical) <= MAX_SEQUENCER_DIGITS + 8
    assert set(canonical) <= set("0123456789ABCDEF")
    assert not canonical.endswith("0")


@PROPERTY
@given(st.integers(0, 2**32 - 2), st.integers(1, 2**20), tails, st.none() | tails)
def test_a_later_second_is_later_with_or_without_sequencer(
    second: int, later: int, tail: str, other: str | None
) -> None:
    """Events of a store without sequencers have one order with those of S3."""
    after = min(second + later, 2**32 - 1)
    own, _ = canonical_sequencer(f"{second:08X}{tail}"[:16], second)
    derived, _ = canonical_sequencer(other and f"FFFFFFFF{other}", after)
    assert own < derived or after > 2**32 - 1 - DAY_SECONDS


moments = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 999_999))


@PROPERTY
@given(moments, moments, st.none() | st.text("0123456789ABCDEFabcdef", max_size=66), st.none() | tails)
def test_the_whole_time_orders_first(
    one: tuple[int, int], other: tuple[int, int], one_digits: str | None, other_digits: str | None
) -> None:
    """Of a sender whose digits order nothing the event of the later microsecond is the later one."""
    earlier, later = sorted([one, other])
    before, is_derived = canonical_sequencer(one_digits, *earlier)
    after, _ = canonical_sequencer(other_digits, *later)
    assert is_derived
    assert earlier == later or before < after


@PROPERTY
@given(moments, tails, tails)
def test_digits_order_events_of_one_time(moment: tuple[int, int], one: str, other: str) -> None:
    """At one time the digits decide, by S3's rule."""
    canonical_one, _ = canonical_sequencer(one, *moment)
    canonical_other, _ = canonical_sequencer(other, *moment)
    assert (canonical_one < canonical_other) == (padded(one) < padded(other))
