"""Who lists which part of a range, and where an idle worker cuts the largest remaining part. Pure: no loop, no I/O.

A worker without a part asks whether keys lie behind a cut in the largest one, by one request for one key. If there are,
the part is cut in two and the worker takes the upper half; if not, the part now ends at the cut, and the next cut lies
lower. Parts shrink this way to where the keys are. Each part that is cut has given a page before, so that small parts
are left alone, and the number of these requests is bounded by the number of pages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from subscriber.model import KeyRange
from subscriber.reconcile.ranges import LAST, end_of_prefix, middle, shared_length

FREE_LOOKAHEADS: Final = 64
"""Enough to find where the keys of a bucket lie: five or six for each place at which they differ."""
LOOKAHEADS_PER_PAGE: Final = 2
"""More requests than these are not worth the time that they save."""
_WIDTH_CHARACTERS: Final = 64
_WIDTH_BASE: Final = 0x80


class Part(msgspec.Struct, eq=False):
    """A range that one worker lists from its beginning on."""

    number: int
    after: str
    """All keys up to this one have been given."""
    upto: str | None
    first: str = ""
    """A key before which, and after `after`, there is none."""
    depth: int = 0
    """Two keys of the part differ before this place; 0 if that is not known."""
    has_given_a_page: bool = False
    is_asked: bool = False
    is_done: bool = False

    @property
    def rest(self) -> KeyRange:
        """What is left to list."""
        return KeyRange(self.after, self.upto)


class Lookahead(msgspec.Struct, frozen=True):
    """The question whether keys lie behind a cut."""

    part: Part
    cut: str
    upto: str | None
    """The end of the part when the question was asked."""

    @property
    def keys(self) -> KeyRange:
        """Where they would lie."""
        return KeyRange(self.cut, self.upto)


class Splitting:
    """Gives out parts and lookaheads; `is_done` once every key of the ranges has been given.

    Args:
        ranges: to be listed; they do not overlap.
        free_lookaheads: these may be asked however few pages were given.
    """

    def __init__(self, ranges: Sequence[KeyRange], free_lookaheads: int = FREE_LOOKAHEADS) -> None:
        self._free_lookaheads = free_lookaheads
        self._waiting = deque(Part(number, keys.after, keys.upto) for number, keys in enumerate(ranges))
        self._running: list[Part] = []
        self._parts = len(ranges)
        self._pages = 0
        self._lookaheads = 0

    @property
    def is_done(self) -> bool:
        """Whether no part is left."""
        return not self._waiting and not self._running

    def next_part(self) -> Part | None:
        """The next part that nobody lists yet."""
        if not self._waiting:
            return None
        part = self._waiting.popleft()
        self._running.append(part)
        return part

    def next_lookahead(self) -> Lookahead | None:
        """A cut in the largest part that can be cut; None: there is none for now."""
        if self._lookaheads >= self._free_lookaheads + LOOKAHEADS_PER_PAGE * self._pages:
            return None
        ready = [part for part in self._running if part.has_given_a_page and not part.is_asked]
        for part in sorted(ready, key=_width, reverse=True):
            if (cut := _cut(part)) is not None:
                part.is_asked = True
                self._lookaheads += 1
                return Lookahead(part, cut, part.upto)
        return None

    def page_given(self, part: Part, last_key: str) -> None:
        """A page that ends with `last_key` was given."""
        self._pages += 1
        part.after = part.first = last_key
        part.has_given_a_page = True

    def part_ended(self, part: Part) -> None:
        """All keys of the part have been given."""
        part.is_done = True
        self._running.remove(part)

    def answered(self, lookahead: Lookahead, found: str | None) -> KeyRange | None:
        """Take the first key behind a cut, or None; return a range that is now known to have no keys."""
        part = lookahead.part
        part.is_asked = False
        if part.is_done or part.after > lookahead.cut:
            return None  # its worker was faster
        part.upto = lookahead.cut
        if found is None:
            return lookahead.keys
        differs_at = shared_length(found, part.first) + 1
        upper = Part(self._parts, lookahead.cut, lookahead.upto, found, differs_at)
        part.has_given_a_page = False
        self._parts += 1
        self._waiting.append(upper)
        return None


def _cut(part: Part) -> str | None:
    """Where to cut: at the end of a prefix while it is open how much of it all keys share, else in the middle."""
    first = max(part.first, part.after)
    if part.upto is not None and first >= part.upto:
        return None
    depth = min(part.depth or len(first), len(first))
    return end_of_prefix(first, part.rest, depth) or middle(first, part.upto)


def _width(part: Part) -> int:
    """A number that grows with the distance of two keys."""
    return _position(part.upto or LAST) - _position(part.after)


def _position(key: str) -> int:
    number = 0
    for place in range(_WIDTH_CHARACTERS):
        point = min(ord(key[place]), _WIDTH_BASE - 1) if place < len(key) else 0
        number = number * _WIDTH_BASE + point
    return number
