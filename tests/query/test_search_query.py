"""What makes a query invalid, and the statement of a valid one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subscriber.query.search_query import Query, QueryError, at
from subscriber.query.statement import statement_of
from subscriber.query.token import Position

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOSTILE = "'; DROP TABLE object_versions; --"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bucket": ""}, "not the name of a bucket"),
        ({"prefix": "x" * 1025}, "the prefix fits no key"),
        ({"suffix": "\0"}, "the suffix fits no key"),
        ({"glob": "\ud800"}, "the glob fits no key"),
        ({"glob": "[a"}, r"the glob '\[a' is invalid: the \[ at character 1 has no \]"),
        ({"regex": ""}, "the regular expression has no character"),
        ({"larger_than_bytes": -1}, "a size is from 0"),
        ({"smaller_than_bytes": 1 << 63}, "a size is from 0"),
        ({"since": datetime(2026, 1, 1)}, "has no zone"),  # noqa: DTZ001 - the point
        ({"order": "owner"}, "there is no order by owner: write key, size, time"),
    ],
)
def test_a_query_that_means_nothing_is_refused(change: dict[str, Any], sentence: str) -> None:
    """With a sentence for its author."""
    with pytest.raises(QueryError, match=sentence):
        Query(**{"bucket": "lake"} | change)


def test_an_age_may_be_older_than_dates() -> None:
    """It means the first of them."""
    assert at(timedelta(days=7), NOON) == datetime(2026, 11, 15, 12, tzinfo=UTC)
    assert at(timedelta(days=999_999), NOON).year == 1


def test_no_value_of_the_author_is_in_the_text() -> None:
    """All are parameters, numbered without gaps."""
    query = Query(
        bucket=HOSTILE,
        prefix=HOSTILE,
        suffix=HOSTILE,
        glob=f"*{HOSTILE}",
        regex=HOSTILE,
        larger_than_bytes=1,
        since=timedelta(days=1),
    )
    statement = statement_of(query, 'a"b', NOON, Position(HOSTILE, HOSTILE), 10)
    assert "DROP" not in statement.text
    assert 'FROM "a""b".versions' in statement.text
    numbers = [f"${number}::" in statement.text for number in range(1, len(statement.parameters) + 2)]
    assert numbers == [True] * len(statement.parameters) + [False]


@pytest.mark.parametrize(
    ("order", "reverse", "expected", "sign"),
    [
        ("key", False, "ORDER BY key, version_id", "(key, version_id) > "),
        ("key", True, "ORDER BY key DESC, version_id DESC", "(key, version_id) < "),
        ("size", False, "ORDER BY size_bytes DESC, key DESC, version_id DESC", "(size_bytes, key, version_id) < "),
        ("time", True, "ORDER BY event_time, key, version_id", "(event_time, key, version_id) > "),
    ],
)
def test_order_and_position_go_the_same_way(order: Any, reverse: bool, expected: str, sign: str) -> None:
    """All columns in one direction, so that one comparison of rows finds the place in an index."""
    query = Query(bucket="b", order=order, reverse=reverse)
    text = statement_of(query, "s", NOON, Position("k", "v", 1, 1)).text
    assert expected in text
    assert sign in text


@pytest.mark.parametrize(
    ("change", "at_most", "is_asked_later"),
    [
        ({"order": "size"}, 10, True),
        ({"order": "time", "reverse": True}, 10, True),
        ({"order": "size"}, None, False),
        ({"order": "size", "versions": True}, 10, False),
        ({"order": "key", "suffix": "x"}, 10, False),
    ],
)
def test_only_the_rows_of_a_sorted_page_are_asked_for_newer_versions(
    change: dict[str, Any], at_most: int | None, is_asked_later: bool
) -> None:
    """A page by size or time sorts first; a stream asks about every row anyway, and keys come in order."""
    text = statement_of(Query(**{"bucket": "b"} | change), "s", NOON, None, at_most).text
    assert ("OFFSET 0" in text) is is_asked_later


@pytest.mark.parametrize(
    ("change", "is_listing"),
    [
        ({}, True),
        ({"prefix": "a", "reverse": True}, True),
        ({"versions": True}, False),
        ({"suffix": ".csv"}, False),
        ({"regex": "^a"}, False),
        ({"since": NOON}, False),
        ({"order": "time"}, False),
    ],
)
def test_a_plain_listing_takes_the_newest_of_each_key(change: dict[str, Any], is_listing: bool) -> None:
    """Every other search asks about each row, after all other conditions."""
    query = Query(**{"bucket": "b"} | change)
    text = statement_of(query, "s", NOON, Position("k", "v", 1, 1), 10).text
    assert ("DISTINCT ON (key)" in text) is is_listing


@pytest.mark.parametrize("condition", [{"storage_classes": ("GLACIER",)}, {"where": ("tags.owner=x",)}])
def test_what_the_history_does_not_keep_is_not_asked_of_it(condition: dict[str, Any]) -> None:
    """An answer by what is known today would be wrong."""
    with pytest.raises(QueryError, match="the history keeps neither storage classes nor metadata"):
        Query(bucket="b", as_of=timedelta(days=1), **condition)
