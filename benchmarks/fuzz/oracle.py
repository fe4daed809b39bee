"""The oracle of decode: no exception, one result, no event invented or dropped, and every event storable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from benchmarks.fuzz.reference import Meaning, reference_meanings
from subscriber.events.decode import decode
from subscriber.events.names import STORAGE_FACTS
from subscriber.model import Delivery, Lease, Message, ObjectEvent, StorageFact

_SEQUENCER = re.compile("([0-9A-F]*[1-9A-F])?")
_STATES = frozenset({"present", "delete_marker", "removed"})
_REASON = re.compile("[a-z_]+")


class MismatchError(Exception):
    """Decode raised, contradicted itself or the reference, or returned an event that cannot be stored."""


class DecodeOracle:
    """Compares decode with the reference, body by body, and counts the outcomes.

    Args:
        reading: the function under test; a test of the oracle passes another one.
    """

    def __init__(self, reading: Callable[[Message], Delivery] = decode) -> None:
        self._reading = reading
        self.outcomes: Counter[str] = Counter()
        """Bodies by outcome, and the number of events."""
        self.reasons: Counter[str] = Counter()
        """Rejected bodies by reason."""

    def check(self, text: str) -> Delivery:
        """Decode the body and check the result.

        Raises:
            MismatchError: the result is wrong; the text says how.
        """
        message = Message("queue", "id", "handle", text, 0.0, 1, Lease("queue", 0.0, set()))
        try:
            delivery, again = self._reading(message), self._reading(message)
        except Exception as error:
            raise MismatchError(f"decode raised {error!r}") from error
        if delivery != again:
            raise MismatchError("decoded twice it gives two results")
        for event in delivery.events:
            _require_storable(event)
        _require_valid_rejection(delivery)
        self.outcomes[_compared(delivery, reference_meanings(text))] += 1
        self.outcomes["events"] += len(delivery.events)
        if delivery.rejection:
            self.reasons[delivery.rejection.reason] += 1
        return delivery


def _compared(delivery: Delivery, reading: Sequence[Meaning]) -> str:
    """How decode and the reference agree. Storage facts, of which the reference knows nothing, are left out."""
    if any(meaning.outcome == "unsure" for meaning in reading):
        return "unsure"
    events = [meaning.event for meaning in reading if meaning.event]
    labels = [meaning.label for meaning in reading if meaning.label and meaning.label not in STORAGE_FACTS]
    ignored = [label for label in delivery.ignored if label not in STORAGE_FACTS]
    is_rejected = any(meaning.outcome == "rejected" for meaning in reading)
    found: list[tuple[object, ...]] = [
        msgspec.structs.astuple(event) for event in delivery.events if not isinstance(event, StorageFact)
    ]
    if delivery.rejection is None and (is_rejected or found != events or ignored != labels):
        raise MismatchError(f"decode returns {found}, {delivery.ignored}; the reference says {reading}")
    if not _is_part(found, events) or not _is_part(ignored, labels):
        raise MismatchError(
            f"decode returns {found}, {delivery.ignored} and rejects the rest; the reference says {reading}"
        )
    if delivery.rejection is None:
        return "understood"
    if not is_rejected:
        return "rejected out of caution"
    return "rejected" if found == events and ignored == labels else "rejected with more than necessary"


def _is_part(some: Sequence[object], complete: Sequence[object]) -> bool:
    """Whether `some` is a subsequence of `complete`."""
    rest = iter(complete)
    return all(each in rest for each in some)


def _require_storable(event: ObjectEvent) -> None:
    """The constraints of the table and of the driver, checked in Python."""
    texts = {"bucket": (1, 255), "key": (1, 1024), "version_id": (0, 1024), "event_name": (1, 64)}
    for name, (least, most) in texts.items():
        _require_text(name, getattr(event, name), least, most)
    if event.etag is not None:
        _require_text("etag", event.etag, 1, 255)
    if len(event.sequencer) > 72 or not _SEQUENCER.fullmatch(event.sequencer):
        raise MismatchError(f"the sequencer {event.sequencer!r}")
    states = {"unchanged"} if isinstance(event, StorageFact) else _STATES
    if event.state not in states or event.event_time.utcoffset() != timedelta():
        raise MismatchError(f"the state {event.state!r} or the time {event.event_time!r}")
    if event.size_bytes is not None and (type(event.size_bytes) is not int or not 0 <= event.size_bytes < 2**63):
        raise MismatchError(f"the size {event.size_bytes!r}")


def _require_text(name: str, text: str, least: int, most: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise MismatchError(f"the {name} has a lone surrogate") from None
    if "\0" in text or not least <= size <= most:
        raise MismatchError(f"the {name} has a NUL, or {size} bytes")


def _require_valid_rejection(delivery: Delivery) -> None:
    if delivery.rejection is None:
        return
    if not _REASON.fullmatch(delivery.rejection.reason):
        raise MismatchError(f"the reason {delivery.rejection.reason!r}")
    _require_text("detail", delivery.rejection.detail, 1, 500)
