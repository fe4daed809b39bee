"""Reads S3's own form of a page fast: entries without spaces between elements, one layout after another.

An entry's layout is the order of its elements. The first entry of a layout is taken apart to make a pattern; the
entries that follow it match that pattern at once. Values are printable ASCII without markup, as `encoding-type=url`
makes them, so what matches is well-formed. What remains, the envelope around one of the entries, goes through expat. A
page in any other form goes through expat whole, so both readers give the same result.
"""

from __future__ import annotations

import functools
import re
from typing import Final

import msgspec

from subscriber.adapters.s3.page import ENTRIES, ETAG_FIELD, FIELDS, KEY_FIELD, RawEntry, RawPage
from subscriber.adapters.s3.xml_strict import read_strictly
from subscriber.errors import ListingError

_FIRST_ENTRY: Final = re.compile("|".join(f"<{name}>" for name in ENTRIES))
_TAG: Final = re.compile(r"<(/?[A-Za-z]+)>")
_KEY_VALUE: Final = r"[ -%'-;=?-~]"
"""Printable ASCII without `&`, `<` and `>`."""
_VALUE: Final = r"[!-%'-;=?-~]"
"""The same without the space: spaces around other values than keys mean nothing."""
_QUOTE: Final = '(?:&quot;|&#34;|")?'
_ETAG: Final = rf"{_QUOTE}([!#-%'-;=?-~]*+){_QUOTE}"
_ANY_VALUE: Final = rf"{_KEY_VALUE}*+"
_LAYOUTS_CACHED: Final = 64
_LAYOUTS_PER_PAGE: Final = 16
"""A page with more is in another form than S3's."""
_TAGS_AT_MOST: Final = 64
_FIELD_DEPTH: Final = 2
"""Of the elements of an entry, which is one deep."""


class Layout(msgspec.Struct, frozen=True):
    """A pattern for one entry, and its groups in the order of RawEntry."""

    pattern: re.Pattern[str]
    groups: tuple[int, ...]


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
    if first is None or "<!" in text:
        return None
    start = first.start()
    found = _entries(text, start)
    if found is None:
        return None
    entries, first_end, end = found
    # One entry stays: it shows where in the document the entries are.
    try:
        around = read_strictly((text[:first_end] + text[end:]).encode())
    except ListingError:
        return None  # the whole page gives the place of the error
    return RawPage(entries, around.envelope) if list(around.entries) == entries[:1] else None


def _entries(text: str, start: int) -> tuple[list[RawEntry], int, int] | None:
    """The entries from `start`, the end of the first one and that of the last one."""
    layouts: list[Layout] = []
    entries: list[RawEntry] = []
    position = start
    first_end = 0
    while len(layouts) <= _LAYOUTS_PER_PAGE:
        before = position
        for layout in layouts:
            position = _run(layout, text, position, entries)
        if position > before:
            continue
        layout_here = _layout_at(text, position)
        if layout_here is None or layout_here in layouts:
            return (entries, first_end, position) if entries else None
        layouts.append(layout_here)
        if not entries:
            match = layout_here.pattern.match(text, position)
            first_end = match.end() if match else start
    return None


def _run(layout: Layout, text: str, position: int, entries: list[RawEntry]) -> int:
    """Append the entries of one layout that follow each other from `position`; return the end of the last one."""
    match, groups = layout.pattern.match, layout.groups
    while (found := match(text, position)) is not None:
        entries.append(found.group(*groups))
        position = found.end()
    return position


def _layout_at(text: str, position: int) -> Layout | None:
    """The layout of the entry at `position`; None: there is no entry in S3's own form."""
    first = _TAG.match(text, position)
    if first is None or first[1] not in ENTRIES:
        return None
    end = text.find(f"</{first[1]}>", position)
    tags = tuple(_TAG.findall(text, position, end + len(first[0]) + 1)) if end >= 0 else ()
    return _layout(tags) if 0 < len(tags) <= _TAGS_AT_MOST else None


@functools.lru_cache(maxsize=_LAYOUTS_CACHED)
def _layout(tags: tuple[str, ...]) -> Layout | None:
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
        pattern += _value_pattern(tag, is_leaf=following == f"/{tag}", is_field=is_field)
        if is_field:
            fields.append(tag)
    if path or len(set(fields)) < len(fields):
        return None
    absent = len(fields) + 2
    groups = (1, *(fields.index(field) + 2 if field in fields else absent for field in FIELDS))
    return Layout(re.compile(f"{pattern}()"), groups)


def _value_pattern(tag: str, *, is_leaf: bool, is_field: bool) -> str:
    """The pattern of the text between two tags; a field has one group, whatever it holds."""
    if not is_leaf:
        return "()" if is_field else ""
    if not is_field:
        return _ANY_VALUE
    if tag == ETAG_FIELD:
        return _ETAG
    return f"({_KEY_VALUE}*+)" if tag == KEY_FIELD else f"({_VALUE}*+)"
