"""Reads S3's own form of a page fast: entries without spaces between elements, one layout after another.

An entry's layout is the order of its elements and the form of its quotes. The first entry of a layout is taken apart to
make a pattern; the entries that follow it match that pattern at once. A pattern excludes `<` alone from each text: one
excluded character is what the engine of `re` matches fastest. The rest is examined once for all entries: they must have
no `&` but those of their quotes, and be printable ASCII, as `encoding-type=url` makes them. So what is taken is
well-formed. What remains, the envelope around one of the entries, goes through expat. A page in any other form goes
through expat whole, so both readers give the same result.
"""

from __future__ import annotations

import functools
import re
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
_LAYOUTS_CACHED: Final = 64
_LAYOUTS_PER_PAGE: Final = 16
"""A page with more is in another form than S3's."""
_TAGS_AT_MOST: Final = 64
_FIELD_DEPTH: Final = 2
"""Of the elements of an entry, which is one deep."""


class Layout(msgspec.Struct, frozen=True):
    """A pattern for one entry, and what it consists of."""

    pattern: re.Pattern[str]
    groups: tuple[int, ...]
    """The pattern's groups in the order of RawEntry."""
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
    scan = _Scan(text, first.start())
    scan.run()
    if not scan.entries or not scan.is_plain():
        return None
    # One entry stays: it shows where in the document the entries are.
    around = text[: scan.first_end] + text[scan.position :]
    try:
        page = read_strictly(around.encode())
    except ListingError:
        return None  # the whole page gives the place of the error
    return RawPage(scan.entries, page.envelope) if list(page.entries) == scan.entries[:1] else None


class _Scan:
    """Goes from entry to entry as long as they follow each other."""

    def __init__(self, text: str, start: int) -> None:
        self.entries: list[RawEntry] = []
        self.position = start
        self.first_end = start
        self._text = text
        self._start = start
        self._layouts: list[Layout] = []
        self._entities = 0

    def run(self) -> None:
        """Read all entries."""
        while len(self._layouts) <= _LAYOUTS_PER_PAGE:
            before = self.position
            for layout in self._layouts:
                self._take(layout)
            if self.position > before:
                continue
            layout_here = _layout_at(self._text, self.position)
            if layout_here is None or layout_here in self._layouts:
                return
            self._layouts.append(layout_here)

    def is_plain(self) -> bool:
        """Whether the texts of the entries have no markup of their own."""
        text, start, end = self._text, self._start, self.position
        return (
            text.count("&", start, end) == self._entities
            and "]]>" not in text  # XML 1.0, section 2.4
            and "<!" not in text[:start]
            and len(text[start:end].translate(_CONTROLS)) == end - start
        )

    def _take(self, layout: Layout) -> None:
        """The entries of one layout that follow each other."""
        match, groups, text, entries = layout.pattern.match, layout.groups, self._text, self.entries
        before, position = len(entries), self.position
        while (found := match(text, position)) is not None:
            entries.append(found.group(*groups))
            position = found.end()
            if not before:
                before, self.first_end = -1, position
        taken = len(entries) - max(before, 0)
        self._entities += taken * layout.entities
        self.position = position


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
    if path or len(set(fields)) < len(fields):
        return None
    absent = len(fields) + 2
    groups = (1, *(fields.index(field) + 2 if field in fields else absent for field in FIELDS))
    entities = 2 if quote.startswith("&") and ETAG_FIELD in fields else 0
    return Layout(re.compile(f"{pattern}()"), groups, entities)


def _text_pattern(tag: str, quote: str, *, is_leaf: bool, is_field: bool) -> str:
    """The pattern of the text between two tags; a field has one group, whatever it holds."""
    if not is_leaf:
        return "()" if is_field else ""
    if not is_field:
        return _TEXT
    return f"{quote}{_QUOTED[quote]}{quote}" if tag == ETAG_FIELD else f"({_TEXT})"
