"""Records of each known sender, and of unknown ones: how keys are read and events are ordered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from subscriber.events import rejection
from tests.corpus.case import Case, meant, rejected, stored, without
from tests.events.samples import CANONICAL, EVENT_TIME, SECOND, SEQUENCER

_TIMED = f"{SECOND:08X}{EVENT_TIME.microsecond:05X}"


def senders() -> Iterator[Case]:
    """All cases about senders."""
    yield from _keys()
    yield from _order()
    yield from _unknown()


def _keys() -> Iterator[Case]:
    ordered = {"sequencer": f"{_TIMED}{SEQUENCER}"}
    for source in ("minio:s3", "rustfs:s3"):
        yield stored(f"{source} key", {"key": "a b+c/%41", **ordered}, key="a+b%2Bc/%2541", eventSource=source)
    for source in ("ceph:s3", "noobaa:s3", "scality:s3"):
        yield stored(f"{source} key", {"key": "a+b c/%41%FF%", **ordered}, key="a+b c/%41%FF%", eventSource=source)
        yield rejected(f"{source} key too long", rejection.BAD_KEY, key="k" * 1025, eventSource=source)
    yield stored("sgws:s3 key", {"key": "a b/é", **ordered}, key="a b/é", eventSource="sgws:s3")
    for key in ("a+b", "%41", "100%"):
        yield rejected(f"sgws:s3 key {key}", rejection.BAD_KEY, key=key, eventSource="sgws:s3")
    yield Case("no sender", without("no sender", "eventSource"), (meant("no sender"),))


def _order() -> Iterator[Case]:
    digits = {
        "near the event's second": (CANONICAL, f"{_TIMED}{CANONICAL}"),
        "with the prefix": (SEQUENCER, f"{_TIMED}{SEQUENCER}"),
        "of nanoseconds": ("18C3B1D2E4F50617", f"{_TIMED}18C3B1D2E4F50617"),
        "in lower case with zeros behind": ("19f3c0a00", f"{_TIMED}19F3C0A"),
        "of 59 digits": ("F" * 59, f"{_TIMED}{'F' * 59}"),
        "of 64 digits": ("F" * 64, f"{_TIMED}{'F' * 59}"),
        "of 65 digits": ("F" * 65, _TIMED.rstrip("0")),
        "empty": ("", _TIMED.rstrip("0")),
        "none": (None, _TIMED.rstrip("0")),
        "no number": ("not-hex", _TIMED.rstrip("0")),
    }
    for name, (given, canonical) in digits.items():
        yield stored(f"minio:s3 {name}", {"sequencer": canonical}, sequencer=given, eventSource="minio:s3")
    whole = EVENT_TIME.replace(microsecond=0)
    means = {"sequencer": f"{SECOND:08X}0000017AAAC08B754819C", "event_time": whole}
    time = "2026-08-02T07:51:20Z"
    yield stored("sgws:s3 in a whole second", means | {"key": "k"}, **_of_grid(time))


def _of_grid(time: str) -> dict[str, str]:
    return {"sequencer": "17AAAC08B754819C", "eventSource": "sgws:s3", "eventTime": time, "key": "k"}


def _unknown() -> Iterator[Case]:
    for source in ("", "aws", "AWS:S3", "s3.amazonaws.com", "iam.amazonaws.com", "other:s3", "x" * 500_000):
        yield rejected(f"sender {source[:20]!r}", rejection.UNKNOWN_EVENT, eventSource=source)
    name = "tags by an unknown sender"
    yield rejected(name, rejection.UNKNOWN_EVENT, event_name="ObjectTagging:Put", eventSource="other:s3")
    yield rejected(f"{name}, malformed", rejection.UNKNOWN_EVENT, size="1", eventSource="other:s3")
    others: tuple[Any, ...] = (None, 5, {}, [])
    for number, other in enumerate(others):
        yield rejected(f"sender of another type {number}", rejection.MALFORMED_RECORD, eventSource=other)
