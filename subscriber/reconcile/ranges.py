"""Ranges of keys: hints from keys that are known, and places at which a range is cut in two. Pure.

Order is that of UTF-8's bytes, which is that of code points, and so that of Python's strings. A cut may be any key that
S3 accepts: code points but surrogates, at most 1,024 bytes. U+0000 is left out, since PostgreSQL cannot hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from subscriber.events.key import MAX_KEY_BYTES, is_storable
from subscriber.model import KeyRange

LAST: Final = "\U0010ffff"
"""The last code point: `prefix + LAST` comes after every usual key with that prefix."""
_END_OF_CODE_POINTS: Final = 0x110000
_END_OF_ASCII: Final = 0x80
"""Most keys are ASCII: a cut above it would seldom leave keys on both sides."""
_LAST_BEFORE_SURROGATES: Final = 0xD7FF
_FIRST_AFTER_SURROGATES: Final = 0xE000


def prefix_range(prefix: str) -> KeyRange:
    """A range with all keys that begin with a prefix; few others are in it: they lie between it and its beginning."""
    if not prefix:
        return KeyRange()
    last = ord(prefix[-1])
    before = _LAST_BEFORE_SURROGATES if last == _FIRST_AFTER_SURROGATES else last - 1
    after = f"{prefix[:-1]}{chr(before)}{LAST}" if before > 0 else prefix[:-1]
    free = (MAX_KEY_BYTES - len(prefix.encode())) // len(LAST.encode())
    return KeyRange(_usable(after) or prefix[:-1], prefix + LAST * free)


def ranges_between(cuts: Iterable[str], within: KeyRange) -> list[KeyRange]:
    """Ranges that together are `within`, cut at those of `cuts` that lie inside; each key is in exactly one."""
    inside = sorted({cut for cut in cuts if cut > within.after and (within.upto is None or cut < within.upto)})
    return [KeyRange(after, upto) for after, upto in zip([within.after, *inside], [*inside, within.upto], strict=True)]


def quantiles(keys: Sequence[str], count: int) -> list[str]:
    """At most `count - 1` cuts that divide sorted keys into parts of about equal size.

    The index's own keys are such a sample: where it has rows, it knows better than any rule how keys are spread.
    """
    places = sorted({len(keys) * number // count for number in range(1, count)})
    return [keys[place - 1] for place in places if place]


def shared_length(one: str, other: str) -> int:
    """How many characters the longest common prefix has."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def middle(after: str, upto: str | None) -> str | None:
    """A key between two others, strictly; None: there is none that can be used.

    The cut lies in the middle of the code points at the first place where the two differ.

    Args:
        after: the lower key, or "".
        upto: the upper key, or None for no limit.
    """
    shared = 0 if upto is None else shared_length(after, upto)
    for place in range(shared, len(after) + 1):
        low = ord(after[place]) if place < len(after) else 0
        high = ord(upto[place]) if upto is not None and place == shared else _END_OF_CODE_POINTS
        between = _between(low, high)
        if between is not None:
            return _usable(after[:place] + chr(between))
    # No code point is free: what is left are longer keys, from the upper one's first characters on.
    return _usable(upto[: shared + 1]) if upto is not None and len(upto) > shared + 1 else None


def _between(low: int, high: int) -> int | None:
    """A code point between two others, strictly, and no surrogate."""
    top = _END_OF_ASCII if low < _END_OF_ASCII - 2 < high else high
    found = (low + top) // 2
    if _LAST_BEFORE_SURROGATES < found < _FIRST_AFTER_SURROGATES:
        found = _LAST_BEFORE_SURROGATES if low < _LAST_BEFORE_SURROGATES else _FIRST_AFTER_SURROGATES
    return found if low < found < high else None


def _usable(key: str) -> str | None:
    return key if is_storable(key, MAX_KEY_BYTES) else None


def end_of_prefix(first: str, keys: KeyRange, depth: int) -> str | None:
    """The end of a prefix of `first`, as a cut: it tells how long a prefix all keys of the range share.

    The prefix is longer than the one that the range's end shows to be shared, and shorter than `depth`: halfway.

    Args:
        first: a key of the range before which none is of interest.
        keys: the range.
        depth: two keys of the range are known to differ at this place, or the length of `first`.
    """
    shared = 0 if keys.upto is None else shared_length(first, keys.upto)
    if depth - shared < 2 or (keys.upto is not None and keys.upto[shared:] != LAST):
        return None
    cut = _usable(first[: shared + (depth - shared) // 2] + LAST)
    return cut if cut and cut > first and (keys.upto is None or cut < keys.upto) else None
