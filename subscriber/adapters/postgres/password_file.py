"""The password of a host name in libpq's password file.

The driver reads the file itself, but for the host that it connects to: for a name that is one of its addresses, which
no line of the file names. libpq compares the name (PostgreSQL documentation, "The Password File").
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

_BYTES_AT_MOST = 1_048_576
_FIELD = re.compile(r"((?:[^\\:]|\\.)*)(?::|$)")
_ESCAPED = re.compile(r"\\(.)")


class Account(NamedTuple):
    """What a line of the file is compared with, field by field; a field `*` fits everything."""

    host: str
    port: str
    database: str
    user: str


def password_of(account: Account, file: str = "") -> str | None:
    """The password of the first line that fits; None: there is none, or the file must not be used.

    Args:
        account: whose password.
        file: from the URL; empty: PGPASSFILE, or ~/.pgpass.
    """
    try:
        text = _text(Path(file or os.environ.get("PGPASSFILE") or Path.home() / ".pgpass"))
    except (OSError, ValueError, RuntimeError):  # unreadable, not UTF-8; RuntimeError: the process has no home
        return None
    return password_in(text, account)


def password_in(text: str, account: Account) -> str | None:
    """The same in the text of a file."""
    for line in text.splitlines():
        if not line.startswith("#") and (password := _password_if_fits(line, account)) is not None:
            return password
    return None


def _password_if_fits(line: str, account: Account) -> str | None:
    position = 0
    for wanted in account:
        found = _FIELD.match(line, position)
        if found is None or not found[0].endswith(":"):
            return None
        if found[1] != "*" and _unescaped(found[1]) != wanted:
            return None
        position = found.end()
    return _unescaped(line[position:])


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(r"\1", field)


def _text(path: Path) -> str:
    """Like libpq, reject what is no plain file, or what group or others can read; the driver warns of it."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ""
    with path.open(encoding="utf-8") as file:
        return file.read(_BYTES_AT_MOST)
