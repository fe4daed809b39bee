"""The indexes that an operator may switch on, what each answers, and what it costs. Pure.

The table comes with its primary key alone: then every update of a row is a HOT update, which touches no index. An index
costs every new row an entry. One on a column that overwrites change (a size, a time) also ends HOT updates: each then
writes an entry into every index. `python -m benchmarks.search` measures both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

BuildState: TypeAlias = Literal["absent", "building", "unfinished", "ready"]
"""`unfinished`: its build was interrupted. Queries ignore it, and writes maintain it all the same."""


VERSIONS: Final = "object_versions"


class SearchIndex(NamedTuple):
    """One index of the catalog."""

    definition: str
    """What follows `ON TABLE` in CREATE INDEX; `:extension` is the schema of the extension."""
    answers: str
    """For the operator."""
    price: str
    """When it costs."""
    extension: str = ""
    """Of PostgreSQL, which must be installed in the database."""
    table: str = VERSIONS


CATALOG: Final[Mapping[str, SearchIndex]] = {
    "size": SearchIndex(
        "USING btree (bucket, size_bytes) WHERE state <> 'removed'",
        "--larger-than, --smaller-than, --order size",
        "each new row; an overwrite with another size is no HOT update",
    ),
    "time": SearchIndex(
        "USING btree (bucket, event_time) WHERE state <> 'removed'",
        "--since, --until, --order time",
        "each new row; no overwrite is a HOT update",
    ),
    "time_blocks": SearchIndex(
        "USING brin (event_time)",
        "--since and --until, coarsely, where rows were written about in the order of their times",
        "next to nothing; overwrites stay HOT updates (PostgreSQL 16 or later)",
    ),
    "suffix": SearchIndex(
        "USING btree (bucket, reverse(key))",
        "--suffix, and the literal end of a --glob",
        "each new row; overwrites stay HOT updates",
    ),
    "pattern": SearchIndex(
        "USING gin (key :extension.gin_trgm_ops)",
        "--glob and --regex with at least three literal characters in a row",
        "each new row, several times what the row costs itself; overwrites stay HOT updates",
        extension="pg_trgm",
    ),
    "metadata": SearchIndex(
        # Without a pending list, which a search would have to read to its end: the worker writes, no upsert waits.
        "USING gin (metadata jsonb_path_ops) WITH (fastupdate = off)",
        "--where with a value, as in tags.project=x",
        "each stored result of enrichment, and each removal of one; other writes nothing",
        table="object_metadata",
    ),
}

OF_VERSIONS: Final[Mapping[str, SearchIndex]] = {
    name: index for name, index in CATALOG.items() if index.table == VERSIONS
}
"""Those that the daemon's upsert pays for."""


def relation_name(name: str) -> str:
    """The name of an index of the catalog in the schema."""
    return f"{CATALOG[name].table}_by_{name}" if name in CATALOG else f"{VERSIONS}_by_{name}"


def build_state(*, exists: bool, is_valid: bool, is_building: bool) -> BuildState:
    """What is the case with an index, by the catalog of the database."""
    if is_building:
        return "building"
    if not exists:
        return "absent"
    return "ready" if is_valid else "unfinished"
