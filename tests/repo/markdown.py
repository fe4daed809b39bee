"""Reads Markdown as GitHub renders it: the anchors of headings, the targets of links, and the fragments of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_LINK = re.compile(r"\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?([^\s<>]+)>?")
_HTML_TARGET = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_HTML_ANCHOR = re.compile(r"<[a-z][^>]*?\b(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_LINK_TEXT = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_EMPHASIS = re.compile(r"(\*+|~~|(?<!\w)_+|_+(?!\w))")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


class Line(NamedTuple):
    """One line, and whether it is inside a fenced code block."""

    number: int
    text: str
    is_code: bool


def lines(markdown: str) -> Iterator[Line]:
    """Every line except the fences themselves."""
    fence = ""
    for number, text in enumerate(markdown.splitlines(), start=1):
        found = _FENCE.match(text)
        if found and not fence and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        elif found and fence and found[1].startswith(fence) and not found[2].strip():
            fence = ""
        else:
            yield Line(number, text, bool(fence))


def slug(heading: str) -> str:
    """The anchor that GitHub derives from the text of a heading.

    It takes the rendered text in lower case, drops everything but letters, digits, `_`, `-` and spaces, and turns each
    space into a hyphen.
    """
    text = _LINK_TEXT.sub(r"\1", heading)
    parts = _CODE_SPAN.split(text)
    plain = "".join(part if index % 3 == 2 else _EMPHASIS.sub("", part) for index, part in _without_ticks(parts))
    return _NOT_IN_SLUG.sub("", plain.strip().lower()).replace(" ", "-")


def anchors(markdown: str) -> set[str]:
    """The anchors of all headings, with `-1`, `-2`, … for repeated ones, and all explicit HTML anchors."""
    found: set[str] = set()
    counts: dict[str, int] = {}
    for line in lines(markdown):
        if line.is_code:
            continue
        found.update(_HTML_ANCHOR.findall(line.text))
        heading = _HEADING.match(line.text)
        if heading:
            name = slug(heading[2])
            repeated = counts.get(name, 0)
            counts[name] = repeated + 1
            found.add(f"{name}-{repeated}" if repeated else name)
    return found


def link_targets(markdown: str) -> Iterator[tuple[int, str]]:
    """Line number and target of every link and image, outside of code."""
    for line in lines(markdown):
        if line.is_code:
            continue
        text = _CODE_SPAN.sub("", line.text)
        for pattern in (_LINK, _DEFINITION, _HTML_TARGET):
            yield from ((line.number, target) for target in pattern.findall(text))


def code_fragments(markdown: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every code span and of every line of a fenced block."""
    for line in lines(markdown):
        if line.is_code:
            yield line.number, line.text
        else:
            yield from ((line.number, span[2]) for span in _CODE_SPAN.finditer(line.text))


def _without_ticks(parts: list[str]) -> Iterator[tuple[int, str]]:
    """The parts of a split by _CODE_SPAN (text, ticks, code, text and so on) without the ticks, with their index."""
    return ((index, part) for index, part in enumerate(parts) if index % 3 != 1)
