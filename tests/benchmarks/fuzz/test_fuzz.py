"""A short fuzz run of decode, and tests of the fuzzer: its oracle finds faults, and its bodies are varied."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz.mutate import Mutator
from benchmarks.fuzz.oracle import DecodeOracle, MismatchError
from benchmarks.fuzz.reference import reference_meanings
from subscriber.events.decode import decode
from subscriber.events.rejection import REASONS
from subscriber.model import Delivery, Message, Rejection
from tests.corpus.case import Case
from tests.corpus.everything import corpus
from tests.events.samples import PROPERTY, body, record
from tests.events.test_decode import json_values, record_likes

pytestmark = pytest.mark.usefixtures("untraced")

BODIES = 4_000


def test_thousands_of_bodies() -> None:
    """Decode and the reference agree on all of them, and they reach every reason of rejection but two."""
    oracle, mutator = DecodeOracle(), Mutator(seed=7)
    for _ in range(BODIES):
        oracle.check(mutator.body())
    assert oracle.outcomes["understood"] > BODIES / 4
    assert oracle.outcomes["events"] > BODIES / 5
    assert oracle.outcomes["unsure"] < BODIES / 50
    assert oracle.outcomes["rejected out of caution"] < BODIES / 20
    assert REASONS - set(oracle.reasons) <= {"bucket_not_allowed", "too_many_records"}


@PROPERTY
@given(st.lists(record_likes | json_values, max_size=4))
def test_any_records(records: list[object]) -> None:
    """Decode and the reference agree on any records."""
    DecodeOracle().check(body(*records))


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.name)
def test_the_corpus_agrees_with_the_reference(case: Case) -> None:
    """The reference gives the expected result of each case, which was written by hand."""
    reading = reference_meanings(case.body)
    if all(meaning.outcome != "unsure" for meaning in reading):
        found = [meaning.event for meaning in reading if meaning.event]
        assert found == [msgspec.structs.astuple(event) for event in case.events]
        assert [meaning.label for meaning in reading if meaning.label] == list(case.ignored)
        assert any(meaning.outcome == "rejected" for meaning in reading) == (case.reason is not None)


def test_the_reference_is_rarely_unsure() -> None:
    """It has an outcome for nine in ten cases of the corpus."""
    unsure = [
        case.name for case in corpus() if any(meaning.outcome == "unsure" for meaning in reference_meanings(case.body))
    ]
    assert len(unsure) < len(corpus()) / 10


def test_the_same_seed_gives_the_same_bodies() -> None:
    """A fault that was found can be reproduced."""
    first, second, other = Mutator(1), Mutator(1), Mutator(2)
    assert [first.body() for _ in range(200)] == [second.body() for _ in range(200)]
    assert first.body() != other.body()


def _raises(message: Message) -> Delivery:
    raise ValueError(message.body)


def _changed(**changes: object) -> Callable[[Message], Delivery]:
    def reading(message: Message) -> Delivery:
        delivery = decode(message)
        events = tuple(msgspec.structs.replace(event, **changes) for event in delivery.events)
        return msgspec.structs.replace(delivery, events=events)

    return reading


def _inconsistent() -> Callable[[Message], Delivery]:
    numbers = itertools.count()
    return lambda message: Delivery(message, rejection=Rejection("not_json", f"the {next(numbers)}th time"))


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        (_raises, "decode raised ValueError"),
        (_inconsistent(), "two results"),
        (Delivery, "the reference says"),
        (_changed(key="other"), "the reference says"),
        (_changed(key="a\0b"), "the key has a NUL"),
        (_changed(key="\ud800"), "the key has a lone surrogate"),
        (_changed(bucket="b" * 256), "the bucket has a NUL, or 256 bytes"),
        (_changed(etag=""), "the etag has a NUL, or 0 bytes"),
        (_changed(sequencer="A0"), "the sequencer 'A0'"),
        (_changed(size_bytes=-1), "the size -1"),
        (_changed(size_bytes=2**63), "the size"),
        (_changed(state="there"), "the state 'there'"),
        (lambda message: Delivery(message, rejection=Rejection("Not JSON", "x")), "the reason 'Not JSON'"),
        (lambda message: Delivery(message, rejection=Rejection("not_json", "")), "the detail has a NUL, or 0 bytes"),
        (lambda message: msgspec.structs.replace(decode(message), ignored=("x",)), "the reference says"),
    ],
)
def test_the_oracle_finds_each_fault(reading: Callable[[Message], Delivery], problem: str) -> None:
    """Each guarantee of decode, broken once, is found."""
    DecodeOracle().check(body(record()))
    with pytest.raises(MismatchError, match=problem):
        DecodeOracle(reading).check(body(record()))
