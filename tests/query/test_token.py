"""The token of a page: what it carries, and which ones are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from subscriber.query.search_query import Found, Query, QueryError
from subscriber.query.token import Position, query_digest, read_token, token_after

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
QUERY = Query(bucket="lake", prefix="raw/", since=timedelta(days=7))
ROW = Found("lake", "raw/ä😀", "v1", "present", True, 5, "etag", NOON)


@pytest.mark.parametrize(
    ("order", "position"),
    [
        ("key", Position("raw/ä😀", "v1")),
        ("size", Position("raw/ä😀", "v1", size_bytes=5)),
        ("time", Position("raw/ä😀", "v1", microseconds=1795348800123456)),
    ],
)
def test_a_token_gives_back_position_and_moment(order: Any, position: Position) -> None:
    """To the microsecond, and what the order needs, no more."""
    query = msgspec.structs.replace(QUERY, order=order)
    found, asked_at = read_token(token_after(query, ROW, NOON), query)
    assert (found, asked_at) == (position, NOON)
    assert order != "time" or found.event_time == NOON


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "lake2"},
        {"prefix": "raw"},
        {"suffix": ".csv"},
        {"glob": "*"},
        {"regex": "x"},
        {"larger_than_bytes": 0},
        {"smaller_than_bytes": 9},
        {"since": timedelta(days=8)},
        {"since": NOON},
        {"as_of": NOON},
        {"until": NOON},
        {"storage_classes": ("GLACIER",)},
        {"where": ("tags.owner",)},
        {"versions": True},
        {"order": "size"},
        {"reverse": True},
    ],
)
def test_a_token_of_another_search_is_refused(change: dict[str, Any]) -> None:
    """Each part of the query counts; the sentence says what to do."""
    token = token_after(QUERY, ROW, NOON)
    with pytest.raises(QueryError, match="belongs to another search: repeat the bucket"):
        read_token(token, msgspec.structs.replace(QUERY, **change))


def test_every_field_of_a_query_is_tested_above() -> None:
    """A new condition must be part of the digest, too."""
    changed = {
        name for mark in test_a_token_of_another_search_is_refused.pytestmark for case in mark.args[1] for name in case
    }
    assert changed == set(Query.__struct_fields__)


@pytest.mark.parametrize("damage", ["", "x", "%", "abc=", "ä" * 40, "A" * 9000, "cut", "changed"])
def test_a_damaged_token_is_told_from_a_foreign_one(damage: str) -> None:
    """Cut off, with a character changed, or no token at all."""
    token = token_after(QUERY, ROW, NOON)
    given = {"cut": token[:-3], "changed": token[:30] + ("A" if token[30] != "A" else "B") + token[31:]}.get(
        damage, damage
    )
    with pytest.raises(QueryError, match="the token is damaged"):
        read_token(given, QUERY)


def test_equal_times_in_other_zones_are_one_query() -> None:
    """A digest is of the moment, not of how it was written."""
    there = NOON.astimezone(timezone(timedelta(hours=5)))
    one, other = (query_digest(Query(bucket="b", since=time)) for time in (NOON, there))
    assert one == other
