"""The SQL of conditions on metadata: a look into the table beside the index. Pure.

A value is asked for by containment, which the index `metadata` answers. Whether a name exists at all it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from subscriber.adapters.postgres.statements import quoted
from subscriber.query.metadata_terms import ANY, Term, document_of

AddParameter = Callable[[object, str], str]
"""The placeholder of a value of an SQL type."""


def metadata_sql(terms: Sequence[Term], schema: str, add: AddParameter) -> str:
    """The condition on a row of the view `versions` that all terms hold for its metadata."""
    if Term(True, ANY, "", None) in terms:  # noqa: FBT003 - as parse_term makes it
        others = [term for term in terms if term.part != ANY]
        return f"NOT {_exists([], schema)}" if not others and len(terms) == 1 else "false"
    return _exists([_term_sql(term, add) for term in terms if term.part != ANY], schema)


def is_indexed(terms: Sequence[Term]) -> bool:
    """Whether the index `metadata` answers a part of them."""
    return any(term.value is not None and not term.is_negated for term in terms)


def _exists(conditions: Sequence[str], schema: str) -> str:
    same = ("known.bucket = versions.bucket", "known.key = versions.key", "known.version_id = versions.version_id")
    where = " AND ".join((*same, *conditions))
    return f"EXISTS (SELECT FROM {quoted(schema)}.object_metadata AS known WHERE {where})"


def _term_sql(term: Term, add: AddParameter) -> str:
    if term.value is not None:
        sql = f"known.metadata @> {add(msgspec.json.encode(document_of(term)).decode(), 'jsonb')}"
    elif term.name:
        sql = f"known.metadata -> {add(term.part, 'text')} ? {add(term.name, 'text')}"
    else:
        sql = f"known.metadata ? {add(term.part, 'text')}"
    # A part that is missing makes NULL of the middle form: no such name, then.
    return f"({sql}) IS NOT TRUE" if term.is_negated else f"({sql})" if term.value is None else sql
