"""The parameters of the upsert: joined texts split into the original values."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.adapters.postgres.columns import UNIT_SEPARATOR, unused_character, upsert_parameters
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

texts = st.text(st.sampled_from([UNIT_SEPARATOR, "\x01", "\x02", "a", "é", "🪣", " "]), max_size=4)


@given(st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=8))
def test_joined_texts_split_into_the_originals(values: list[tuple[str, str | None]]) -> None:
    """For any texts, also with the separator in them, each column splits into its values and one empty text."""
    rows = [row(key=key, etag=etag) for key, etag in values]
    parameters = upsert_parameters(rows)
    separator = str(parameters[-1])
    assert str(parameters[1]).split(separator) == [*(key for key, _ in values), ""]
    assert str(parameters[8]).split(separator) == [*(etag or "" for _, etag in values), ""]
    assert str(parameters[2]).count(separator) == len(rows)


def test_the_separator_changes_if_a_key_contains_it() -> None:
    """Then it is the first unused character, and never a surrogate, which text cannot contain."""
    assert upsert_parameters([row(key="a/b")])[-1] == UNIT_SEPARATOR
    assert upsert_parameters([row(key=f"a{UNIT_SEPARATOR}b\x01")])[-1] == "\x02"
    assert unused_character("".join(map(chr, range(0xD800)))) == "\ue000"


def test_rows_with_every_character_are_bisected() -> None:
    """It takes several megabytes, and each half has unused characters again."""
    with pytest.raises(StoreError) as caught:
        unused_character("".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)])))
    assert caught.value.treatment is Treatment.BISECT


@pytest.mark.parametrize("count", [1, 2])
async def test_separators_and_empty_texts_are_stored_as_they_are(
    store: PostgresStore, database: Database, count: int
) -> None:
    """One row or more, empty version ids and sequencers, keys with the separator at every position."""
    rows = [row(key=f"\x1f{n}\x1fa\x1f\x01", version_id="", sequencer="") for n in range(count)]
    assert await store.store(rows) == count
    found = await database.fetch("SELECT key, version_id, sequencer FROM object_versions ORDER BY key")
    assert [tuple(record) for record in found] == [(event.key, "", "") for event in rows]
