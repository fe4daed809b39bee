"""From a plan of PostgreSQL to words: which index answers which conditions, and what is checked row by row. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from subscriber.query.indexes import CATALOG, relation_name
from subscriber.query.search_query import Query
from subscriber.query.statement import Condition

_TABLE: Final = "object_versions"
_PRIMARY_KEY: Final = "object_versions_pkey"
_METADATA_KEY: Final = "object_metadata_pkey"
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")
_SORTS: Final = frozenset({"Sort", "Incremental Sort"})
_NEWEST_BESIDE: Final = "takes the newest version of each key from those side by side"
_NEWEST_ASKED: Final = "asks the primary key about each row that is left whether a newer version of its key exists"
_NAMES: Final = {
    _PRIMARY_KEY: "the primary key (bucket, key, version_id)",
    _METADATA_KEY: "the primary key of the metadata",
} | {relation_name(name): f"the index {name}" for name in CATALOG}


class _Access(NamedTuple):
    """How the rows are read."""

    indexes: tuple[str, ...]
    """Empty: the whole table."""
    condition: str
    """What the indexes answer, without the literals."""


def explanation(
    plan: Mapping[str, Any], query: Query, conditions: Sequence[Condition], ready: Collection[str]
) -> list[str]:
    """A line for each fact, the most important first.

    Args:
        plan: the topmost node (PostgreSQL, "EXPLAIN": FORMAT JSON).
        query: what is searched for.
        conditions: of its statement.
        ready: relations of the optional indexes that can be used.
    """
    nodes = list(_nodes(plan))
    access = _access(nodes)
    answered = [each for each in conditions if access.indexes and _is_answered(each, access)]
    checked = [each for each in conditions if each not in answered]
    lines = [_reads(access, answered)]
    if checked:
        lines.append(f"checks on each row that it reads: {_list(checked)}")
    kinds = {node["Node Type"] for node in nodes}
    if not query.versions:
        lines.append(_NEWEST_BESIDE if "Unique" in kinds else _NEWEST_ASKED)
    if kinds & _SORTS and "Unique" not in kinds:
        how = "before the first row" if "Sort" in kinds else "group by group"
        lines.append(f"sorts by {query.order}, {how}")
    lines.append(f"expects {_rows(nodes)} rows to pass, by PostgreSQL's statistics")
    return lines + list(_advice(query, checked, access, ready))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes that yield the rows; a subplan asks about one of them."""
    yield plan
    for child in plan.get("Plans", ()):
        if child.get("Parent Relationship") not in {"SubPlan", "InitPlan"}:
            yield from _nodes(child)


def _access(nodes: Sequence[Mapping[str, Any]]) -> _Access:
    scans = [node for node in nodes if "Index Name" in node]
    text = " AND ".join(node.get("Index Cond", "") for node in scans)
    return _Access(tuple(node["Index Name"] for node in scans), _LITERAL.sub("''", text))


def _is_answered(condition: Condition, access: _Access) -> bool:
    return bool(condition.answered_by) and f"({condition.answered_by}" in access.condition


def _reads(access: _Access, answered: Sequence[Condition]) -> str:
    if not access.indexes:
        return "reads the whole table: no index answers any condition"
    names = " and ".join(_NAMES.get(name, f"the index {name}, which is none of ours") for name in access.indexes)
    if not answered:
        return f"reads all of {names}, for its order"
    return f"reads {names}, and of it only the part with: {_list(answered)}"


def _rows(nodes: Sequence[Mapping[str, Any]]) -> str:
    """The estimate of the node that reads the table, which a LIMIT above it does not change."""
    found = next((node for node in nodes if node.get("Relation Name") == _TABLE), nodes[0])
    return f"about {round(found['Plan Rows']):,}"


def _advice(query: Query, checked: Sequence[Condition], access: _Access, ready: Collection[str]) -> Iterator[str]:
    wanted = [each.optional_index for each in checked if each.optional_index]
    if query.order != "key" and relation_name(query.order) not in access.indexes:
        wanted.append(query.order)
    for name in dict.fromkeys(wanted):
        if relation_name(name) in ready:
            yield f"the index {name} exists; PostgreSQL expects less work without it"
        else:
            yield (
                f"an index for this can be switched on: subscriber indexes create {name} "
                f"(it answers {CATALOG[name].answers}; its price: {CATALOG[name].price})"
            )


def _list(conditions: Sequence[Condition]) -> str:
    return "; ".join(condition.words for condition in conditions)
