"""Loads the SQL files of this package for a schema of any name.

The files write the schema as psql does: `:"schema"` is the name, and `:'schema'` a text with it. psql itself leaves
alone what stands in the body of a function, so by hand (`psql -v schema=subscriber -f …`) only the others can be run.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_NAME = ':"schema"'
_TEXT = ":'schema'"
_FRAGMENTS = (
    "detailed_rows",
    "given_rows",
    "is_newer_restore",
    "is_newer_storage",
    "is_old_job",
    "jobs_range_columns",
    "newer_rows",
    "quarantine_filter",
)
"""Files that other files include as `:name`."""

_TEXT_WITH_NAME = re.compile(f"{_NAME}|{_TEXT}")
_MIGRATION_NAME = re.compile(r"(\d+)_(\d{3})_\w+\.sql")


class Migration(NamedTuple):
    """One step of the schema; its file is named major_number_name.sql.

    Within a major, migrations only add: a release runs on any schema of its major that is at least as new as the
    release, so a rollback of the release leaves the schema alone. A migration that breaks this starts a new major.
    """

    major: int
    number: int
    name: str
    """The file name without its extension."""
    sql: str


def quoted(identifier: str) -> str:
    """A quoted SQL identifier (PostgreSQL, "Lexical Structure")."""
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'


def statement(name: str, schema: str) -> str:
    """The statement in the file `name`.sql, for a schema, with the fragments that it includes."""
    text = _text(name)
    for fragment in _FRAGMENTS:
        if f":{fragment}" in text:
            text = text.replace(f":{fragment}", _text(fragment).rstrip())
    return _of_schema(text, schema)


def migrations(schema: str) -> list[Migration]:
    """All migrations of this release, oldest first, for a schema."""
    found = []
    for file in _folder().joinpath("migrations").iterdir():
        parts = _MIGRATION_NAME.fullmatch(file.name)
        if parts is not None:
            sql = _of_schema(file.read_text("utf-8"), schema)
            found.append(Migration(int(parts[1]), int(parts[2]), file.name.removesuffix(".sql"), sql))
    return sorted(found)


def _of_schema(text: str, schema: str) -> str:
    """`text` with the name of the schema; a name may itself look like the other placeholder."""
    doubled = schema.replace("'", "''")
    return _TEXT_WITH_NAME.sub(lambda found: quoted(schema) if found[0] == _NAME else f"'{doubled}'", text)


def _text(name: str) -> str:
    return _folder().joinpath(f"{name}.sql").read_text("utf-8")


def _folder() -> Traversable:
    return files("subscriber.adapters.postgres").joinpath("sql")
