"""Decode returns exactly the expected result for every body of the corpus."""

from __future__ import annotations

import time
import tracemalloc

import msgspec
import pytest

from subscriber.events.envelope import _ENVELOPE
from subscriber.events.key import decode_form
from subscriber.events.rejection import REASONS
from tests.corpus.case import MESSAGE_BYTES_AT_MOST, Case
from tests.corpus.everything import corpus
from tests.events.samples import decoded

SECONDS_AT_MOST = 1.0
"""Limit for one body, on a busy machine; the slowest takes a tenth of it."""

MEMORY_AT_MOST = 64 * 1024**2
"""Limit in bytes while one body is decoded; the largest needs a third of it."""


def names(cases: tuple[Case, ...]) -> list[str]:
    """The names of the cases, as test ids."""
    return [case.name for case in cases]


@pytest.mark.parametrize("case", corpus(), ids=names(corpus()))
def test_each_body_gives_the_expected_result(case: Case) -> None:
    """The events, the reason of rejection and the ignored labels are exactly the expected ones."""
    delivery = decoded(case.body)
    assert delivery.events == case.events
    assert (delivery.rejection and delivery.rejection.reason) == case.reason
    assert delivery.ignored == case.ignored


def test_the_corpus_is_varied() -> None:
    """All names are different, most bodies can be sent, and every reason occurs except the one set by an operator."""
    assert len(set(names(corpus()))) == len(corpus()) > 200
    assert sum(case.is_sendable for case in corpus()) > 200
    assert {case.reason for case in corpus() if case.reason} == REASONS - {"bucket_not_allowed"}
    assert max(len(case.body) for case in corpus() if case.is_sendable) == MESSAGE_BYTES_AT_MOST


def test_no_body_takes_long() -> None:
    """The time is proportional to the size: no body of a megabyte blocks the event loop."""
    slow = {}
    for case in corpus():
        started = time.thread_time()
        decoded(case.body)
        slow[case.name] = time.thread_time() - started
    assert {name: seconds for name, seconds in slow.items() if seconds > SECONDS_AT_MOST} == {}


def test_no_body_takes_much_memory() -> None:
    """The memory is proportional to the size: no body of a megabyte takes a hundred."""
    used = {}
    tracemalloc.start()
    try:
        for case in (case for case in corpus() if len(case.body) > 100_000):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            decoded(case.body)
            used[case.name] = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert len(used) > 10
    assert {name: peak for name, peak in used.items() if peak > MEMORY_AT_MOST} == {}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (msgspec.DecodeError, "hello"),
        (msgspec.ValidationError, '{"Records": 5}'),
        (RecursionError, '{"x":' + "[" * 100_000),
        (UnicodeEncodeError, '{"x": "\ud800"}'),
    ],
)
def test_each_exception_that_parsing_a_body_catches_occurs(error: type[Exception], text: str) -> None:
    """A body raises each of the caught exceptions, and is rejected."""
    with pytest.raises(error) as caught:
        _ENVELOPE.decode(text)
    assert caught.type is error
    assert decoded(text).rejection is not None


def test_the_exception_that_decoding_a_key_catches_occurs() -> None:
    """The decoded bytes of a key may be invalid UTF-8."""
    with pytest.raises(UnicodeDecodeError):
        decode_form("%FF")
