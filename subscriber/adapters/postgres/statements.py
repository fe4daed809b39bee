"""The SQL files of this package, made ready for a schema of any name.

In them the schema is written `:"schema"`, which psql understands too: a migration can be read, and run by hand
(`psql -v schema=subscriber -f …`), without this program.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_PLACEHOLDER = ':"schema"'
_MIGRATION_NAME = re.compile(r"(\d+)_(\d{3})_\w+\.sql")


class Migration(NamedTuple):
    """One step from one state of the schema to the next. Its file is named major_number_name.sql.

    Within a major, steps only add: a release runs on any schema of its major that is as new as the release or
    newer, so a release can be taken back without touching the schema. A step that breaks this begins a major.
    """

    major: int
    number: int
    name: str
    """The name of the file without its ending."""
    sql: str


def quoted(identifier: str) -> str:
    """An identifier as it may stand in SQL (PostgreSQL, "Lexical Structure": quoted identifiers)."""
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'


def statement(name: str, schema: str) -> str:
    """The statement in the file `name`.sql, for a schema."""
    return _folder().joinpath(f"{name}.sql").read_text("utf-8").replace(_PLACEHOLDER, quoted(schema))


def migrations(schema: str) -> list[Migration]:
    """All migrations of this release, oldest first, for a schema."""
    found = []
    for file in _folder().joinpath("migrations").iterdir():
        parts = _MIGRATION_NAME.fullmatch(file.name)
        if parts is not None:
            sql = file.read_text("utf-8").replace(_PLACEHOLDER, quoted(schema))
            found.append(Migration(int(parts[1]), int(parts[2]), file.name.removesuffix(".sql"), sql))
    return sorted(found)


def _folder() -> Traversable:
    return files("subscriber.adapters.postgres").joinpath("sql")
