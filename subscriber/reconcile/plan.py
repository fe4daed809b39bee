"""A plan: the ranges of a job as JSON Lines, so that something else can hand them out, one to each task.

    {"Bucket": "lake", "Prefix": "logs/", "After": "", "UpTo": "logs/2026/05"}
    {"Bucket": "lake", "Prefix": "logs/", "After": "logs/2026/05", "UpTo": null}

Each line is ASCII, whatever the keys are, and nothing in it is percent-encoded: JSON's own escapes are enough for every
key, and a `%` or `+` in a key stays what it is. A line is also what one task is given, as by the ItemReader of a
Distributed Map (Step Functions developer guide, "JSON Lines").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from subscriber.errors import ConfigurationError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable
from subscriber.model import KeyRange

_SHOWN_CHARACTERS = 200


class PlannedRange(msgspec.Struct, frozen=True):
    """A range of a bucket that one task does."""

    bucket: str
    prefix: str
    """Of the job; the range has no other keys."""
    keys: KeyRange


class _Line(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    # No default for the end: a misspelled name must not make the range longer.
    bucket: str
    after: str
    up_to: str | None
    prefix: str = ""


def range_line(planned: PlannedRange) -> str:
    """One line of a plan, without its end."""
    keys = planned.keys
    return json.dumps({"Bucket": planned.bucket, "Prefix": planned.prefix, "After": keys.after, "UpTo": keys.upto})


def planned_range(text: str) -> PlannedRange:
    """The range that a line names.

    Raises:
        ConfigurationError: it names none; the text says what is wrong with it.
    """
    try:
        line = msgspec.json.decode(text, type=_Line)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ConfigurationError(f"{_shown(text)} is no range of a plan: {error}") from None
    if problem := _problem(line):
        raise ConfigurationError(f"{_shown(text)} is no range of a plan: {problem}")
    return PlannedRange(line.bucket, line.prefix, KeyRange(line.after, line.up_to))


def read_plan(lines: Iterable[str]) -> list[PlannedRange]:
    """All ranges of a plan; empty lines do not count.

    Raises:
        ConfigurationError: a line names no range, the lines name several buckets or prefixes, or a key is in two
            ranges; the text names the line.
    """
    numbered = [(number, planned_range(line)) for number, line in enumerate(lines, 1) if line.strip()]
    for number, planned in numbered:
        first = numbered[0][1]
        if (planned.bucket, planned.prefix) != (first.bucket, first.prefix):
            raise ConfigurationError(
                f"line {number} of the plan is of s3://{planned.bucket}/{planned.prefix}, and line {numbered[0][0]} of "
                f"s3://{first.bucket}/{first.prefix}: a plan has one bucket and one prefix"
            )
    for earlier, later in _overlaps(numbered):
        raise ConfigurationError(f"lines {earlier} and {later} of the plan have keys in common")
    return [planned for _, planned in numbered]


def _overlaps(numbered: Iterable[tuple[int, PlannedRange]]) -> Iterator[tuple[int, int]]:
    """The numbers of neighbors that overlap, in the order of keys."""
    ordered = sorted(numbered, key=lambda each: each[1].keys.after)
    for (number, planned), (next_number, follower) in pairwise(ordered):
        if planned.keys.upto is None or planned.keys.upto > follower.keys.after:
            yield min(number, next_number), max(number, next_number)


def _problem(line: _Line) -> str | None:
    if not line.bucket or not is_storable(line.bucket, MAX_BUCKET_BYTES):
        return f"a bucket's name has 1 to {MAX_BUCKET_BYTES} bytes"
    keys = {"Prefix": line.prefix, "After": line.after, "UpTo": line.up_to or ""}
    for name, key in keys.items():
        if not is_storable(key, MAX_KEY_BYTES):
            return f"{name} is no key: at most {MAX_KEY_BYTES} bytes of UTF-8, without NUL"
    if line.up_to is not None and line.up_to <= line.after:
        return "UpTo must come after After; null is the end of the bucket"
    return None


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
