"""What decode owes to every body: no exception, one answer, nothing invented, nothing swallowed, all of it storable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from benchmarks.fuzz.reference import Meaning, reading_of
from subscriber.events.decode import decode
from subscriber.model import Delivery, Lease, Message, ObjectEvent

_SEQUENCER = re.compile("([0-9A-F]*[1-9A-F])?")
_STATES = frozenset({"present", "delete_marker", "removed"})
_REASON = re.compile("[a-z_]+")


class Wrong(Exception):  # noqa: N818 - what is wrong is the daemon's, not the judge's
    """A body for which decode does not do what it owes."""


class Judge:
    """Reads bodies in both ways and counts what came of them.

    Args:
        reading: the daemon's way; another for a test of the judge.
    """

    def __init__(self, reading: Callable[[Message], Delivery] = decode) -> None:
        self._reading = reading
        self.outcomes: Counter[str] = Counter()
        """Bodies by what became of them, and events."""
        self.reasons: Counter[str] = Counter()
        """Refused bodies by reason."""

    def judge(self, text: str) -> Delivery:
        """What the body means.

        Raises:
            Wrong: with a sentence.
        """
        message = Message("queue", "id", "handle", text, 0.0, 1, Lease("queue", 0.0, set()))
        try:
            delivery, again = self._reading(message), self._reading(message)
        except Exception as error:
            raise Wrong(f"decode raised {error!r}") from error
        if delivery != again:
            raise Wrong("read twice it means two things")
        for event in delivery.events:
            _require_storable(event)
        _require_plain_refusal(delivery)
        self.outcomes[_compared(delivery, reading_of(text))] += 1
        self.outcomes["events"] += len(delivery.events)
        if delivery.rejection:
            self.reasons[delivery.rejection.reason] += 1
        return delivery


def _compared(delivery: Delivery, reading: Sequence[Meaning]) -> str:
    """In what way both readings agree."""
    if any(meaning.verdict == "unsure" for meaning in reading):
        return "unsure"
    events = [meaning.event for meaning in reading if meaning.event]
    labels = [meaning.label for meaning in reading if meaning.label]
    is_refused = any(meaning.verdict == "refused" for meaning in reading)
    found: list[tuple[object, ...]] = [msgspec.structs.astuple(event) for event in delivery.events]
    if delivery.rejection is None and (is_refused or found != events or list(delivery.ignored) != labels):
        raise Wrong(f"it is read as {found}, {delivery.ignored}; the reference says {reading}")
    if not _is_part(found, events) or not _is_part(delivery.ignored, labels):
        raise Wrong(f"it is read as {found}, {delivery.ignored}, in part; the reference says {reading}")
    if delivery.rejection is None:
        return "understood"
    if not is_refused:
        return "refused out of caution"
    return "refused" if found == events and list(delivery.ignored) == labels else "refused with more than it had to be"


def _is_part(some: Sequence[object], all_of_it: Sequence[object]) -> bool:
    """Whether `some` is what is left of `all_of_it` when a few are taken out."""
    rest = iter(all_of_it)
    return all(each in rest for each in some)


def _require_storable(event: ObjectEvent) -> None:
    """The checks of the table, and of the driver before it, again and in Python."""
    texts = {"bucket": (1, 255), "key": (1, 1024), "version_id": (0, 1024), "event_name": (1, 64)}
    for name, (least, most) in texts.items():
        _require_text(name, getattr(event, name), least, most)
    if event.etag is not None:
        _require_text("etag", event.etag, 1, 255)
    if len(event.sequencer) > 72 or not _SEQUENCER.fullmatch(event.sequencer):
        raise Wrong(f"the sequencer {event.sequencer!r}")
    if event.state not in _STATES or event.event_time.utcoffset() != timedelta():
        raise Wrong(f"the state {event.state!r} or the time {event.event_time!r}")
    if event.size_bytes is not None and (type(event.size_bytes) is not int or not 0 <= event.size_bytes < 2**63):
        raise Wrong(f"the size {event.size_bytes!r}")


def _require_text(name: str, text: str, least: int, most: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Wrong(f"the {name} has a lone surrogate") from None
    if "\0" in text or not least <= size <= most:
        raise Wrong(f"the {name} has a NUL, or {size} bytes")


def _require_plain_refusal(delivery: Delivery) -> None:
    if delivery.rejection is None:
        return
    if not _REASON.fullmatch(delivery.rejection.reason):
        raise Wrong(f"the reason {delivery.rejection.reason!r}")
    _require_text("detail", delivery.rejection.detail, 1, 500)
