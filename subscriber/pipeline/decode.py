"""Decode: a Message comes in, a Delivery goes out; pure, and never an exception for any body.

Bodies come from outside, and what a body says must not stop the line. What cannot be read becomes a refusal (the
whole body goes to the quarantine, where nothing of it is lost); what can be read beside it is stored all the
same. Test events, empty ones and those that say nothing about existence take the same road without a row.
"""

from __future__ import annotations

from subscriber.events.envelope import open_body
from subscriber.events.record import Record, Sequenced, read_record
from subscriber.model import Delivery, Message, ObjectEvent, Refusal

_NUMBERS_SHOWN = 10
"""Of refused records in one detail sentence; a body of 1 MiB could hold thousands."""


def decode(message: Message) -> Delivery:
    """What `message` means. Raises nothing, whatever the body."""
    contents = open_body(message.body)
    if isinstance(contents, Refusal):
        return Delivery(message, refusal=contents)
    events: list[ObjectEvent] = []
    ignored: list[str] = []
    refused: dict[int, Refusal] = {}
    derived_sequencers = 0
    for number, item in enumerate(contents.items, start=1):
        meaning = read_record(item, key_is_encoded=contents.keys_are_encoded) if isinstance(item, Record) else item
        if isinstance(meaning, Sequenced):
            events.append(meaning.event)
            derived_sequencers += meaning.is_derived
        elif isinstance(meaning, str):
            ignored.append(meaning)
        else:
            refused[number] = meaning
    return Delivery(
        message,
        events=tuple(events),
        refusal=_summary(refused, len(contents.items)) if refused else None,
        ignored=tuple(ignored),
        derived_sequencers=derived_sequencers,
    )


def _summary(refused: dict[int, Refusal], records: int) -> Refusal:
    """One refusal for all: the first one's reason, and which records they are."""
    first = next(iter(refused.values()))
    if records == 1:
        return first
    numbers = ", ".join(str(number) for number in list(refused)[:_NUMBERS_SHOWN])
    more = ", …" if len(refused) > _NUMBERS_SHOWN else ""
    detail = f"{len(refused)} of {records} records refused ({numbers}{more}); the first: {first.detail}"
    return Refusal(first.reason, detail)
