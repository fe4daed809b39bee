"""Which dead-letter queue is meant, where a letter goes, what fits one call."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from subscriber.adapters.sqs.dead_letters import DeadLetter
from subscriber.dead_letters.plan import (
    SEND_BYTES_AT_MOST,
    DeadLetterQueue,
    Source,
    calls_of,
    chosen,
    require_receivable,
    target_of,
)
from subscriber.errors import ConfigurationError
from subscriber.model import Lease, Message

URL = "https://sqs.eu-central-1.amazonaws.com/111122223333/"
ARN = "arn:aws:sqs:eu-central-1:111122223333:"
EVENTS, OTHER = (Source(URL + name, ARN + name) for name in ("events", "other"))
DEAD = DeadLetterQueue(URL + "dead", ARN + "dead", (EVENTS,), 3, 0, 86_400, has_redrive_policy=False)


def letter(body: str = "", source_arn: str = "") -> DeadLetter:
    """A dead letter."""
    return DeadLetter(Message(DEAD.url, "id", "handle", body, 0.0, 1, Lease(DEAD.url, math.inf, set())), source_arn, {})


def test_one_queue_needs_no_name() -> None:
    """The only one is meant; a name or a URL means the same."""
    assert chosen([DEAD], None) == chosen([DEAD], "dead") == chosen([DEAD], DEAD.url) == DEAD


@pytest.mark.parametrize(
    ("queues", "name", "sentence"),
    [
        ([], None, "no queue of SUBSCRIBER_QUEUE_URLS has a dead-letter queue"),
        ([DEAD], "daed", "daed is no dead-letter queue"),
        ([DEAD, replace(DEAD, url=URL + "second")], None, "several dead-letter queues are possible"),
    ],
)
def test_what_is_not_clear_is_rejected(queues: list[DeadLetterQueue], name: str | None, sentence: str) -> None:
    """With a sentence that names what there is."""
    with pytest.raises(ConfigurationError, match=sentence):
        chosen(queues, name)


def test_a_letter_returns_to_its_own_queue_only() -> None:
    """A letter of a queue that is not configured has no target; without a source the only queue is meant."""
    shared = replace(DEAD, sources=(EVENTS, OTHER))
    assert target_of(letter(source_arn=OTHER.arn), shared) == OTHER.url
    assert target_of(letter(source_arn=ARN + "foreign"), shared) is None
    assert target_of(letter(), DEAD) == EVENTS.url
    assert target_of(letter(), shared) is None


def test_a_queue_that_passes_letters_on_is_not_received_from() -> None:
    """Its receives would move messages."""
    with pytest.raises(ConfigurationError, match="RedrivePolicy of its own"):
        require_receivable(replace(DEAD, has_redrive_policy=True))


def test_a_call_has_ten_letters_and_its_bytes() -> None:
    """A part ends at ten letters or before the limit of bytes; a larger letter goes alone."""
    half = "x" * (SEND_BYTES_AT_MOST // 2)
    assert [len(part) for part in calls_of([letter("a")] * 21)] == [10, 10, 1]
    assert [len(part) for part in calls_of([letter(half)] * 3)] == [2, 1]
    assert [len(part) for part in calls_of([letter(half * 3), letter("a")])] == [1, 1]
    assert list(calls_of([])) == []
