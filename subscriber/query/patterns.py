"""Prefixes, globs and regular expressions as far as an index can answer them. Pure.

An index in the order of keys answers a range of keys. So the literal beginning of a pattern becomes such a range; what
is left of the pattern is checked on each row that is read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LAST: Final = "\U0010ffff"
"""The last code point."""
AFTER_ALL: Final = LAST * 257
"""Greater than any key: it has more than the 1,024 bytes that S3 allows ("Naming Amazon S3 objects")."""
_LAST_BEFORE_SURROGATES: Final = "\ud7ff"
_FIRST_AFTER_SURROGATES: Final = "\ue000"
_QUANTIFIERS: Final = frozenset("*?{+")
_REGEX_SPECIAL: Final = frozenset("\\.[](){}*+?^$|")
_WILDCARDS: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
"""The longest first."""


class Glob(NamedTuple):
    """A glob, taken apart."""

    prefix: str
    """Its literal beginning."""
    suffix: str
    """Its literal end, after the last wildcard; the whole glob has no wildcard if `is_literal`."""
    regex: str
    """The same as an advanced regular expression of PostgreSQL, without anchors."""
    is_literal: bool


def prefix_end(prefix: str) -> str:
    """The first text after all texts that begin with a prefix, in the order of code points, which is that of UTF-8."""
    kept = prefix.rstrip(LAST)
    if not kept:
        return AFTER_ALL
    last = kept[-1]
    raised = _FIRST_AFTER_SURROGATES if last == _LAST_BEFORE_SURROGATES else chr(ord(last) + 1)
    return kept[:-1] + raised


def escaped(text: str) -> str:
    """A regular expression that matches exactly this text.

    A backslash takes the meaning of any character but ASCII letters and digits ("Regular Expression Escapes").
    """
    return "".join(f"\\{char}" if char in _REGEX_SPECIAL else char for char in text)


def parse_glob(glob: str) -> Glob:
    """Take a glob apart.

    `*` is any text without a slash, `**` any text, a part `**/` any folders or none, `?` one character but a slash,
    `[a-z]` and `[!a-z]` one of a set, and a backslash takes the meaning of the next character.

    Raises:
        ValueError: a set is not closed, or nothing follows a backslash; the text says so.
    """
    parts: list[str] = []
    prefix, literal, has_wildcard, place = "", "", False, 0
    while place < len(glob):
        part, is_literal, length = _next_part(glob, place)
        if is_literal:
            literal += part
        else:
            prefix, literal, has_wildcard = prefix if has_wildcard else literal, "", True
        parts.append(escaped(part) if is_literal else part)
        place += length
    return Glob(prefix if has_wildcard else literal, literal, "".join(parts), not has_wildcard)


def _next_part(glob: str, place: int) -> tuple[str, bool, int]:
    """The literal character or the regular expression at a place, whether it is literal, and its length in the glob."""
    char = glob[place]
    for wildcard, regex in _WILDCARDS.items():
        begins_part = place == 0 or glob[place - 1] == "/"
        if glob.startswith(wildcard, place) and (begins_part or wildcard != "**/"):
            return regex, False, len(wildcard)
    if char == "[":
        return _set(glob, place)
    if char == "\\":
        if place + 1 == len(glob):
            raise ValueError("nothing follows the backslash at its end")
        return glob[place + 1], True, 2
    return char, True, 1


def _set(glob: str, place: int) -> tuple[str, bool, int]:
    """A set in brackets: a `]` at its beginning belongs to it, as in a shell."""
    begin = place + 1
    is_negated = glob[begin : begin + 1] in {"!", "^"}
    begin += is_negated
    end = glob.find("]", begin + 1)
    if end < 0:
        raise ValueError(f"the [ at character {place + 1} has no ]")
    inside = "".join(char if char == "-" or char.isalnum() else f"\\{char}" for char in glob[begin:end])
    return f"[{'^/' if is_negated else ''}{inside}]", False, end + 1 - place


def regex_prefix(regex: str) -> str:
    """The text with which every match of a regular expression begins, as far as it can be told; "" if it cannot.

    Only an expression that is anchored by `^` and has no alternative has one.
    """
    if not regex.startswith("^") or "|" in regex:
        return ""
    found, place = "", 1
    while place < len(regex):
        char = regex[place]
        if char == "\\" and regex[place + 1 : place + 2] in _REGEX_SPECIAL | {"/", "-", "_", " "}:
            char, place = regex[place + 1], place + 1
        elif char in _REGEX_SPECIAL:
            return found[:-1] if char in _QUANTIFIERS else found
        found += char
        place += 1
    return found
