"""Decode reads every body of the corpus exactly as the table of expectation says."""

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
"""Of one body, on a machine that does other things too; the slowest takes a tenth."""

MEMORY_AT_MOST = 64 * 1024**2
"""Bytes while one body is read; the largest needs a third."""


def names(cases: tuple[Case, ...]) -> list[str]:
    """How the cases are called in a report."""
    return [case.name for case in cases]


@pytest.mark.parametrize("case", corpus(), ids=names(corpus()))
def test_each_body_is_what_the_table_says(case: Case) -> None:
    """Every event, the reason of rejection and what is ignored: all of it, and nothing else."""
    delivery = decoded(case.body)
    assert delivery.events == case.events
    assert (delivery.rejection and delivery.rejection.reason) == case.reason
    assert delivery.ignored == case.ignored


def test_the_corpus_is_wide() -> None:
    """No two cases have a name in common, most can be sent, and every reason but the operator's is met."""
    assert len(set(names(corpus()))) == len(corpus()) > 200
    assert sum(case.is_sendable for case in corpus()) > 200
    assert {case.reason for case in corpus() if case.reason} == REASONS - {"bucket_not_allowed"}
    assert max(len(case.body) for case in corpus() if case.is_sendable) == MESSAGE_BYTES_AT_MOST


def test_no_body_takes_long() -> None:
    """Time is in proportion to the body: no shape of a megabyte holds up the event loop."""
    slow = {}
    for case in corpus():
        started = time.thread_time()
        decoded(case.body)
        slow[case.name] = time.thread_time() - started
    assert {name: seconds for name, seconds in slow.items() if seconds > SECONDS_AT_MOST} == {}


def test_no_body_takes_much_memory() -> None:
    """Nor does any shape of a megabyte become a hundred."""
    hungry = {}
    tracemalloc.start()
    try:
        for case in (case for case in corpus() if len(case.body) > 100_000):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            decoded(case.body)
            hungry[case.name] = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert len(hungry) > 10
    assert {name: peak for name, peak in hungry.items() if peak > MEMORY_AT_MOST} == {}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (msgspec.DecodeError, "hello"),
        (msgspec.ValidationError, '{"Records": 5}'),
        (RecursionError, '{"x":' + "[" * 100_000),
        (UnicodeEncodeError, '{"x": "\ud800"}'),
    ],
)
def test_what_opening_a_body_catches_occurs(error: type[Exception], text: str) -> None:
    """Each kind of exception that is caught there is raised by a body, and ends as a rejection."""
    with pytest.raises(error) as caught:
        _ENVELOPE.decode(text)
    assert caught.type is error
    assert decoded(text).rejection is not None


def test_what_decoding_a_key_catches_occurs() -> None:
    """The bytes that a key stands for may be no UTF-8."""
    with pytest.raises(UnicodeDecodeError):
        decode_form("%FF")
