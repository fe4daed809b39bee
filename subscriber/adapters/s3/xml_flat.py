"""Reads S3's own form of a page fast: entries without spaces between elements, in a few layouts.

An entry's layout is the order of its elements and the form of its quotes. The first entry of a layout is taken apart to
make a pattern; one call of `findall` then takes a hundred entries, whichever of the layouts each has. Its last
alternative takes what is none of them, up to the end, so that nothing between two entries is passed over. A pattern
excludes `<` alone from each text: one excluded character is what the engine of `re` matches fastest. The rest is
examined once for all entries: they must have no `&` but those of their quotes, and be printable ASCII, as
`encoding-type=url` makes them. So what is taken is well-formed. What remains, the envelope around one of the entries,
goes through expat. A page in any other form goes through expat whole, so both readers give the same result.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final

import msgspec

from subscriber.adapters.s3.page import ENTRIES, ETAG_FIELD, FIELDS, RawEntry, RawPage
from subscriber.adapters.s3.xml_strict import read_strictly
from subscriber.errors import ListingError

_FIRST_ENTRY: Final = re.compile("|".join(f"<{name}>" for name in ENTRIES))
_TAG: Final = re.compile(r"<(/?[A-Za-z]+)>")
_TEXT: Final = "[^<]*+"
_QUOTED: Final = {"&quot;": "([^<]*)", "&#34;": "([^<]*)", '"': "([^<]*)", "": '([^<&"]*+)'}
"""The quote around an ETag, and the pattern of what is inside."""
_ETAG_QUOTE: Final = re.compile(r"<ETag>(&quot;|&#34;|\"|)[^<&\"]*+\1</ETag>")
_CONTROLS: Final = dict.fromkeys(range(32))
_SUSPECTS: Final = dict.fromkeys([*range(32), ord("&"), ord("]")])
_PIECE: Final = 65_536
"""Characters that are read at once, about a hundred entries. They, and what is made of them, stay in the processor's
caches; of a whole page, half a megabyte, every step would fetch them from memory again."""
_LAYOUTS_CACHED: Final = 64
_LAYOUTS_PER_PAGE: Final = 8
"""A page with more is in another form than S3's. Its versions differ by their checksums, which objects may lack."""
_TAGS_AT_MOST: Final = 64
_WIDTH: Final = 1 + len(FIELDS)
"""Of a RawEntry."""
_FIELD_DEPTH: Final = 2
"""Of the elements of an entry, which is one deep."""


class Layout(msgspec.Struct, frozen=True, order=True):
    """A pattern for one entry, and what it consists of."""

    pattern: str
    """It has as many groups as a RawEntry has texts."""
    groups: tuple[int, ...]
    """Its groups, from 0, in the order of RawEntry; the first is the entry's element."""
    entities: int
    """How many `&` it has."""


def read_page(content: bytes) -> RawPage:
    """Read a page.

    Raises:
        ListingError: as `read_strictly` does.
    """
    return _read_flat(content) or read_strictly(content)


def _read_flat(content: bytes) -> RawPage | None:
    """None: the page is not in S3's own form."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return None
    first = _FIRST_ENTRY.search(text)
    if first is None:
        return None
    start = first.start()
    scan = _Scan(text, start)
    if "<!" in text[:start] or not scan.run() or not scan.entries:
        return None
    # One entry stays: it shows where in the document the entries are.
    around = text[: _end_of_entry(text, start, first[0])] + text[scan.position :]
    try:
        page = read_strictly(around.encode())
    except ListingError:
        return None  # the whole page gives the place of the error
    return RawPage(scan.entries, page.envelope) if list(page.entries) == scan.entries[:1] else None


class _Scan:
    """Reads the entries that follow each other, piece by piece of the text."""

    def __init__(self, text: str, start: int) -> None:
        self.entries: list[RawEntry] = []
        self.position = start
        """Where the last entry ends."""
        self._text = text

    def run(self) -> bool:
        """Read all entries; whether they are well-formed. A layout that was not seen before is added where it comes."""
        layouts: tuple[Layout, ...] = ()
        while (here := _layout_at(self._text, self.position)) is not None and here not in layouts:
            if len(layouts) == _LAYOUTS_PER_PAGE:
                return False
            layouts = tuple(sorted((*layouts, here)))
            taken = True
            while taken:
                taken, is_plain = self._take(layouts)
                if not is_plain:
                    return False
        return True

    def _take(self, layouts: tuple[Layout, ...]) -> tuple[bool, bool]:
        """Take the entries of one piece; whether there were any, and whether they have no markup of their own."""
        begin, picks = self.position, _picks(layouts)
        rows = _pattern(layouts).findall(self._text, begin, begin + _PIECE)
        rest = rows.pop()[-1] if rows and rows[-1][-1] else ""
        if not rows:
            return False, True
        self.entries += [pick(row) for row in rows for at, pick in picks if row[at]]
        self.position = min(begin + _PIECE, len(self._text)) - len(rest)
        entities = sum(
            layout.entities * len([True for row in rows if row[at]])
            for layout, (at, _) in zip(layouts, picks, strict=True)
            if layout.entities
        )
        return True, _is_plain(self._text[begin : self.position], entities)


@functools.lru_cache(maxsize=_LAYOUTS_CACHED)
def _pattern(layouts: tuple[Layout, ...]) -> re.Pattern[str]:
    """Matches an entry of any of these layouts, each with groups of its own, else all that is left, as last group."""
    return re.compile("|".join([*(layout.pattern for layout in layouts), "(.+)"]), re.DOTALL)


@functools.lru_cache(maxsize=_LAYOUTS_CACHED)
def _picks(layouts: tuple[Layout, ...]) -> tuple[tuple[int, Callable[[tuple[str, ...]], RawEntry]], ...]:
    """Of each layout: which group of `_pattern` has its element, and what makes a RawEntry of all groups."""
    begins = range(0, _WIDTH * len(layouts), _WIDTH)
    return tuple((begin, _pick(begin, layout.groups)) for begin, layout in zip(begins, layouts, strict=True))


def _pick(begin: int, groups: tuple[int, ...]) -> Callable[[tuple[str, ...]], RawEntry]:
    is_in_order = groups == tuple(range(_WIDTH))
    return itemgetter(slice(begin, begin + _WIDTH)) if is_in_order else itemgetter(*(begin + each for each in groups))


def _is_plain(entries: str, entities: int) -> bool:
    """Whether the texts of some entries have no markup of their own: no `&` but those of their quotes."""
    if len(entries.translate(_SUSPECTS)) == len(entries) - entities:
        return True
    return (
        entries.count("&") == entities
        and "]]>" not in entries  # XML 1.0, section 2.4
        and len(entries.translate(_CONTROLS)) == len(entries)
    )


def _end_of_entry(text: str, start: int, opening: str) -> int:
    closing = f"</{opening[1:]}"
    return text.find(closing, start) + len(closing)


def _layout_at(text: str, position: int) -> Layout | None:
    """The layout of the entry at `position`; None: there is no entry in S3's own form."""
    first = _TAG.match(text, position)
    if first is None or first[1] not in ENTRIES:
        return None
    end = text.find(f"</{first[1]}>", position)
    tags = tuple(_TAG.findall(text, position, end + len(first[0]) + 1)) if end >= 0 else ()
    quote = _ETAG_QUOTE.search(text, position, max(end, position))
    return _layout(tags, quote[1] if quote else "") if 0 < len(tags) <= _TAGS_AT_MOST else None


@functools.lru_cache(maxsize=_LAYOUTS_CACHED)
def _layout(tags: tuple[str, ...], quote: str) -> Layout | None:
    """The layout of an entry by its tags; None: they are not balanced, or name a field twice."""
    path: list[str] = []
    fields: list[str] = []
    pattern = ""
    for tag, following in zip(tags, (*tags[1:], ""), strict=True):
        if tag.startswith("/"):
            if not path or path.pop() != tag[1:]:
                return None
            pattern += f"<{tag}>"
            continue
        path.append(tag)
        is_field = len(path) == _FIELD_DEPTH and tag in FIELDS
        pattern += f"<{tag}>" if len(path) > 1 else f"<({tag})>"
        pattern += _text_pattern(tag, quote, is_leaf=following == f"/{tag}", is_field=is_field)
        if is_field:
            fields.append(tag)
    absent = [field for field in FIELDS if field not in fields]
    order = [*fields, *absent]
    if path or len(order) > len(FIELDS):
        return None
    entities = 2 if quote.startswith("&") and ETAG_FIELD in fields else 0
    return Layout(pattern + "()" * len(absent), (0, *(order.index(field) + 1 for field in FIELDS)), entities)


def _text_pattern(tag: str, quote: str, *, is_leaf: bool, is_field: bool) -> str:
    """The pattern of the text between two tags; a field has one group, whatever it holds."""
    if not is_leaf:
        return "()" if is_field else ""
    if not is_field:
        return _TEXT
    return f"{quote}{_QUOTED[quote]}{quote}" if tag == ETAG_FIELD else f"({_TEXT})"
