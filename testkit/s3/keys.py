"""Keys that S3 accepts and software gets wrong: a fixed list, and more of the kind from a seed.

A key is any Unicode text of 1 to 1,024 bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects"). Left out are U+0000,
which PostgreSQL cannot keep in a text, and `.` and `..` between slashes, which HTTP clients remove from a path.
"""

from __future__ import annotations

from random import Random
from typing import Final

MAX_KEY_BYTES: Final = 1_024

HOSTILE_KEYS: Final = (
    # one is the beginning of the next
    "a",
    "a/",
    "a//",
    "a/b",
    "a/b/",
    "a b",
    "a-b",
    "a0",
    "aa",
    # slashes in odd places
    "/",
    "//",
    "/leading",
    "trailing/",
    # what a reader that guesses types takes for something else
    "0",
    "000123",
    "7e5",
    "2026-11-29",
    "NULL",
    "null",
    "NA",
    "nan",
    "true",
    "-",
    # what URL encoding and decoding change
    "+",
    "a+b",
    "a%2Bb",
    "a%20b",
    "a%b",
    "%",
    "100%/x y",
    "a=1&b=2?c#d",
    "~tilde*star",
    ";,:@$!'()",
    # what XML and CSV change
    "<Key>&amp;</Key>",
    "]]>",
    'say "hello", twice',
    "it's",
    "back\\slash",
    " begins with a space",
    "ends with a space ",
    " ",
    # control characters, which XML 1.0 cannot carry
    "\x01",
    "a\x01b",
    "tab\tand\nline\rfeed",
    "bell\x07escape\x1b",
    "delete\x7f",
    "next\x85line",
    # the edges of UTF-8: two, three and four bytes, and what UTF-16 would order otherwise
    "\u0080",
    "é",
    "e\u0301",
    "\u07ff",
    "\u0800",
    "日本語/キー",
    "\u2028",
    "\ud7ff",
    "\ue000",
    "\ufeffbom",
    "\ufffe",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    # the longest
    "l" * MAX_KEY_BYTES,
    "é" * (MAX_KEY_BYTES // 2),
    "\U0010ffff" * (MAX_KEY_BYTES // 4),
)
"""Distinct keys, in no order."""

_RANGES: Final = ((0x01, 0x1F), (0x20, 0x7E), (0x7F, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
_SHARES: Final = (1, 8, 2, 2, 2, 1)
_FRAGMENTS: Final = ("/", "+", "%", "%2F", " ", '"', "&", "<", "\\", "a", "0")


def random_key(random: Random, max_bytes: int = 60) -> str:
    """A key of 1 to `max_bytes` bytes of UTF-8, of all kinds of characters."""
    wanted = random.randint(1, max_bytes)
    text = ""
    while True:
        part = random.choice(_FRAGMENTS) if random.random() < 0.2 else _character(random)
        if len((text + part).encode()) > wanted:
            return _without_dots(text or "k")
        text += part


def _character(random: Random) -> str:
    first, last = random.choices(_RANGES, _SHARES)[0]
    return chr(random.randint(first, last))


def _without_dots(key: str) -> str:
    return key.replace(".", "_")
