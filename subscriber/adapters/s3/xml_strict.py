"""Reads a page with expat: any well-formed XML, whatever its spaces, order, namespaces and entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.parsers import expat

from subscriber.adapters.s3.page import ENTRIES, ETAG_FIELD, FIELDS, RawEntry, RawPage, broken_page, unquoted
from subscriber.errors import ListingError

_NAMESPACE_SEPARATOR: Final = " "
_DEEPEST_ELEMENT: Final = 32
"""S3's pages are four deep."""


def read_strictly(content: bytes) -> RawPage:
    """Read a page.

    Raises:
        ListingError: it is no well-formed XML (it may be cut), or it is an error inside a 200.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 – expat takes it by position
    except expat.ExpatError as error:
        raise broken_page(f"it is not well-formed XML: {error}") from error
    if reader.root == "Error":
        raise ListingError(reader.envelope.get("Code", "Unknown"), reader.envelope.get("Message", ""))
    if not reader.root.endswith("Result"):
        raise broken_page(f"its root is {reader.root}")
    return RawPage(reader.entries, reader.envelope)


def read_fault(content: bytes) -> Mapping[str, str]:
    """The texts of an error's elements, such as `Code`, `Message` and `Region`; empty if it is no error of S3's."""
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 – expat takes it by position
    except (expat.ExpatError, ListingError):
        return {}
    return reader.envelope if reader.root == "Error" else {}


def read_tags(content: bytes) -> Mapping[str, str]:
    """The tags in an answer of GetObjectTagging, by their keys.

    Raises:
        ListingError: it is no well-formed XML, or no such answer.
    """
    reader = _TagReader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 – expat takes it by position
    except expat.ExpatError as error:
        raise broken_page(f"it is not well-formed XML: {error}") from error
    if reader.root != "Tagging":
        raise broken_page(f"its root is {reader.root}, and not Tagging")
    return reader.tags


class _Reader:
    """Collects the texts of elements; the path of names says where each belongs."""

    def __init__(self) -> None:
        self.root = ""
        self.entries: list[RawEntry] = []
        self.envelope: dict[str, str] = {}
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._text: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=_NAMESPACE_SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

    def _start(self, name: str, _: dict[str, str]) -> None:
        self._path.append(name.rpartition(_NAMESPACE_SEPARATOR)[2])
        if len(self._path) > _DEEPEST_ELEMENT:
            raise broken_page("its elements are nested too deep")
        self._text.clear()
        if len(self._path) == 1:
            self.root = self._path[0]
        if len(self._path) == 2:
            self._fields = {}

    def _end(self, _: str) -> None:
        name, depth = self._path[-1], len(self._path)
        text = "".join(self._text)
        self._text.clear()
        self._path.pop()
        if depth == 3 and self._path[-1] in ENTRIES:
            self._fields[name] = unquoted(text) if name == ETAG_FIELD else text
        elif depth == 2 and name in ENTRIES:
            self.entries.append((name, *(self._fields.get(field, "") for field in FIELDS)))
        elif depth == 2:
            self.envelope[name] = text if "Marker" in name else text.strip()

    @staticmethod
    def _refuse_doctype(*_: object) -> None:
        """A document type may define entities that grow without bound; S3 sends none."""
        raise broken_page("it has a document type")


class _TagReader(_Reader):
    """Collects pairs of Key and Value, whose texts are kept as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, str] = {}
        self._key = ""

    def _end(self, _: str) -> None:
        path, text = tuple(self._path[1:]), "".join(self._text)
        self._text.clear()
        self._path.pop()
        if path == ("TagSet", "Tag", "Key"):
            self._key = text
            self.tags[text] = ""
        elif path == ("TagSet", "Tag", "Value"):
            self.tags[self._key] = text
