"""Decode against the fuzzer, in small; and the fuzzer against itself: its judge notices, and its bodies are wide."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz.mutate import Mutator
from benchmarks.fuzz.oracle import Judge, Wrong
from benchmarks.fuzz.reference import reading_of
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
    """None is read otherwise than by the reference, and between them they reach every reason but two."""
    judge, mutator = Judge(), Mutator(seed=7)
    for _ in range(BODIES):
        judge.judge(mutator.body())
    assert judge.outcomes["understood"] > BODIES / 4
    assert judge.outcomes["events"] > BODIES / 5
    assert judge.outcomes["unsure"] < BODIES / 50
    assert judge.outcomes["refused out of caution"] < BODIES / 20
    assert REASONS - set(judge.reasons) <= {"bucket_not_allowed", "too_many_records"}


@PROPERTY
@given(st.lists(record_likes | json_values, max_size=4))
def test_any_records(records: list[object]) -> None:
    """Whatever stands in the records, both readings agree."""
    Judge().judge(body(*records))


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.name)
def test_the_corpus_agrees_with_the_reference(case: Case) -> None:
    """What the table of expectation says was written by hand; the reference comes to the same."""
    reading = reading_of(case.body)
    if all(meaning.verdict != "unsure" for meaning in reading):
        found = [meaning.event for meaning in reading if meaning.event]
        assert found == [msgspec.structs.astuple(event) for event in case.events]
        assert [meaning.label for meaning in reading if meaning.label] == list(case.ignored)
        assert any(meaning.verdict == "refused" for meaning in reading) == (case.reason is not None)


def test_the_reference_is_seldom_unsure() -> None:
    """It has an answer to nine in ten cases of the corpus."""
    unsure = [case.name for case in corpus() if any(meaning.verdict == "unsure" for meaning in reading_of(case.body))]
    assert len(unsure) < len(corpus()) / 10


def test_the_same_seed_gives_the_same_bodies() -> None:
    """A fault that was found can be found again."""
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


def _fickle() -> Callable[[Message], Delivery]:
    numbers = itertools.count()
    return lambda message: Delivery(message, rejection=Rejection("not_json", f"the {next(numbers)}th time"))


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        (_raises, "decode raised ValueError"),
        (_fickle(), "two things"),
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
def test_the_judge_notices(reading: Callable[[Message], Delivery], problem: str) -> None:
    """Each promise of decode, broken once, is found."""
    Judge().judge(body(record()))
    with pytest.raises(Wrong, match=problem):
        Judge(reading).judge(body(record()))
