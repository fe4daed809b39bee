"""Decode: a Message comes in, a Delivery goes out; pure, and never an exception for any body.

Bodies come from outside, and what a body says must not stop the line. What cannot be read becomes a rejection (the
whole body goes to the quarantine, where nothing of it is lost); what can be read beside it is stored all the
same. Where there is a list of buckets, a good event of any other is refused too: it is kept to be looked at. Test
events, empty ones and those that say nothing about existence take the same road without a row.
"""

from __future__ import annotations

from collections.abc import Container

from subscriber.events.envelope import open_body
from subscriber.events.record import Meaning, Record, Sequenced, read_record
from subscriber.events.rejection import BUCKET_NOT_ALLOWED, quoted
from subscriber.model import Delivery, Message, Rejection

_NUMBERS_SHOWN = 10
"""Of refused records in one detail sentence; a body of 1 MiB could hold thousands."""


def decode(message: Message, buckets: Container[str] | None = None) -> Delivery:
    """What `message` means. Raises nothing, whatever the body.

    Args:
        message: as the queue gave it.
        buckets: whose events may become rows; None: those of every bucket.
    """
    contents = open_body(message.body)
    if isinstance(contents, Rejection):
        return Delivery(message, rejection=contents)
    is_encoded = contents.keys_are_encoded
    meanings = [
        read_record(item, key_is_encoded=is_encoded) if isinstance(item, Record) else item for item in contents.items
    ]
    if buckets is not None:
        meanings = [_admitted(meaning, buckets) for meaning in meanings]
    if len(meanings) == 1 and isinstance(only := meanings[0], Sequenced):
        # What S3 sends today is one record per message: this line is the hot path of the whole daemon.
        return Delivery(message, (only.event,), derived_sequencers=int(only.is_derived))
    return _delivery(message, meanings)


def _admitted(meaning: Meaning, buckets: Container[str]) -> Meaning:
    """`meaning`, but an event of a foreign bucket is refused. What makes no row needs no permission."""
    if not isinstance(meaning, Sequenced) or meaning.event.bucket in buckets:
        return meaning
    detail = f"the bucket {quoted(meaning.event.bucket)} is not one of SUBSCRIBER_BUCKETS"
    return Rejection(BUCKET_NOT_ALLOWED, detail)


def _delivery(message: Message, meanings: list[Meaning]) -> Delivery:
    """Events, silence and rejections sorted apart."""
    sequenced = [meaning for meaning in meanings if isinstance(meaning, Sequenced)]
    refused = {number: meaning for number, meaning in enumerate(meanings, start=1) if isinstance(meaning, Rejection)}
    return Delivery(
        message,
        events=tuple(meaning.event for meaning in sequenced),
        rejection=_summary(refused, len(meanings)) if refused else None,
        ignored=tuple(meaning for meaning in meanings if isinstance(meaning, str)),
        derived_sequencers=sum(meaning.is_derived for meaning in sequenced),
    )


def _summary(refused: dict[int, Rejection], records: int) -> Rejection:
    """One rejection for all: the first one's reason, and which records they are."""
    first = next(iter(refused.values()))
    if records == 1:
        return first
    numbers = ", ".join(str(number) for number in list(refused)[:_NUMBERS_SHOWN])
    more = ", …" if len(refused) > _NUMBERS_SHOWN else ""
    detail = f"{len(refused)} of {records} records refused ({numbers}{more}); the first: {first.detail}"
    return Rejection(first.reason, detail)
