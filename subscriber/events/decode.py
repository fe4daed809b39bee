"""Stage 2: decode. It turns a Message into a Delivery; pure, and it raises for no body.

Bodies come from outside and must not stop the pipeline. A record that cannot be decoded becomes a rejection: the whole
body goes to the quarantine, and the valid records beside it are stored all the same. With a bucket allow-list, an event
of another bucket is rejected too. Test events, empty bodies and events that are known to say nothing about existence
give a Delivery without rows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from subscriber.events.envelope import Contents, open_body
from subscriber.events.record import Meaning, Record, Sequenced, read_record
from subscriber.events.rejection import BUCKET_NOT_ALLOWED, UNKNOWN_EVENT, quoted
from subscriber.model import Delivery, Message, Rejection

_NUMBERS_SHOWN = 10
"""Rejected records and unknown names listed for one body; a body of 1 MiB could hold thousands."""


def decode(message: Message, buckets: Container[str] | None = None, *, keeps_requester: bool = False) -> Delivery:
    """What `message` means. Raises nothing, whatever the body.

    Args:
        message: As the queue delivered it.
        buckets: The bucket allow-list; None allows every bucket.
        keeps_requester: Whether events tell who made the request.
    """
    contents = open_body(message.body)
    if isinstance(contents, Rejection):
        return Delivery(message, rejection=contents, unknown=_unknown([contents]))
    if len(contents.items) == 1:
        # S3 sends one record per message today: this is the hot path of the whole daemon.
        only = _meaning(contents.items[0], contents, buckets, keeps_requester=keeps_requester)
        if isinstance(only, Sequenced):
            return Delivery(message, (only.event,), derived_sequencers=int(only.is_derived))
        return _delivery(message, [only])
    meanings = [_meaning(item, contents, buckets, keeps_requester=keeps_requester) for item in contents.items]
    return _delivery(message, meanings)


def _meaning(
    item: Record | str | Rejection, contents: Contents, buckets: Container[str] | None, *, keeps_requester: bool
) -> Meaning:
    meaning: Meaning = (
        item
        if not isinstance(item, Record)
        else read_record(item, key_is_encoded=contents.keys_are_encoded, keeps_requester=keeps_requester)
    )
    return meaning if buckets is None else _checked_bucket(meaning, buckets)


def _checked_bucket(meaning: Meaning, buckets: Container[str]) -> Meaning:
    """`meaning`, but a rejection for an event of a bucket that is not allowed. Ignored events pass."""
    if not isinstance(meaning, Sequenced) or meaning.event.bucket in buckets:
        return meaning
    if meaning.event.state == "unchanged":
        return meaning.event.event_name
    detail = f"the bucket {quoted(meaning.event.bucket)} is not one of SUBSCRIBER_BUCKETS"
    return Rejection(BUCKET_NOT_ALLOWED, detail)


def _delivery(message: Message, meanings: list[Meaning]) -> Delivery:
    """Separate events, ignored names and rejections."""
    sequenced = [meaning for meaning in meanings if isinstance(meaning, Sequenced)]
    rejected = {number: meaning for number, meaning in enumerate(meanings, start=1) if isinstance(meaning, Rejection)}
    return Delivery(
        message,
        events=tuple(meaning.event for meaning in sequenced),
        rejection=_summary(rejected, len(meanings)) if rejected else None,
        ignored=tuple(meaning for meaning in meanings if isinstance(meaning, str)),
        derived_sequencers=sum(meaning.is_derived for meaning in sequenced),
        unknown=_unknown(rejected.values()),
    )


def _unknown(rejections: Iterable[Rejection]) -> tuple[str, ...]:
    """What is not known of the rejected records, each name once."""
    details = dict.fromkeys(each.detail for each in rejections if each.reason == UNKNOWN_EVENT)
    return tuple(details)[:_NUMBERS_SHOWN]


def _summary(rejected: dict[int, Rejection], records: int) -> Rejection:
    """One rejection for all: the reason of the first, and the numbers of the records."""
    first = next(iter(rejected.values()))
    if records == 1:
        return first
    numbers = ", ".join(str(number) for number in list(rejected)[:_NUMBERS_SHOWN])
    more = ", …" if len(rejected) > _NUMBERS_SHOWN else ""
    detail = f"{len(rejected)} of {records} records rejected ({numbers}{more}); the first: {first.detail}"
    return Rejection(first.reason, detail)
