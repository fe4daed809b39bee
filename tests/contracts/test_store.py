"""The contract of `Store`, for the real store and the fake one."""

from __future__ import annotations

from random import Random
from typing import Any, Literal, TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.model import ObjectEvent, Rejection
from subscriber.ports import Store
from tests.adapters.postgres.object_rows import colliding_row, message, row
from tests.fakes.store import FakeStore, Quarantined, order_of, version_of

Which: TypeAlias = Literal["fake", "postgres"]


class Inspected:
    """A store and direct access to its data."""

    def __init__(self, store: Store, database: asyncpg.Connection[asyncpg.Record] | None) -> None:
        self.store = store
        self.database = database

    async def rows(self) -> dict[tuple[str, str, str], ObjectEvent]:
        """The rows of the index, read directly."""
        if isinstance(self.store, FakeStore):
            return self.store.rows
        assert self.database is not None
        columns = ", ".join(ObjectEvent.__struct_fields__)
        found = await self.database.fetch(f"SELECT {columns} FROM object_versions")
        return {version_of(event): event for event in (ObjectEvent(*record) for record in found)}

    async def quarantined(self) -> dict[tuple[str, str], Quarantined]:
        """The quarantined messages, read directly."""
        if isinstance(self.store, FakeStore):
            return self.store.quarantined
        assert self.database is not None
        found = await self.database.fetch("SELECT * FROM quarantined_messages")
        return {(record["queue"], record["message_id"]): _quarantined(record) for record in found}


def _quarantined(record: asyncpg.Record) -> Quarantined:
    body = record["body"].decode("utf-8", "surrogatepass")
    return Quarantined(body, record["reason"], record["detail"], record["receive_count"])


@pytest.fixture(params=["fake", "postgres"])
def inspected(request: pytest.FixtureRequest) -> Inspected:
    """Each store in turn."""
    if request.param == "fake":
        return Inspected(FakeStore(), None)
    store: PostgresStore = request.getfixturevalue("store")
    return Inspected(store, request.getfixturevalue("database"))


async def test_a_row_is_stored_unmodified(inspected: Inspected) -> None:
    """Every field is stored, and the row counts as applied."""
    event = row(key="ordner/ü 😀", version_id="v1", size_bytes=None, etag=None, state="removed")
    assert await inspected.store.store([event]) == 1
    assert await inspected.rows() == {version_of(event): event}


async def test_storing_is_idempotent(inspected: Inspected) -> None:
    """Storing is idempotent: the second time no row counts as applied."""
    events = [row(key="a"), row(key="b", state="delete_marker")]
    assert await inspected.store.store(events) == 2
    before = await inspected.rows()
    assert await inspected.store.store(events) == 0
    assert await inspected.rows() == before


async def test_no_rows_need_no_call(inspected: Inspected) -> None:
    """An empty batch needs no call to the database."""
    assert await inspected.store.store([]) == 0


async def test_the_newest_row_remains(inspected: Inspected) -> None:
    """In any order and batching of events, the largest by the order tuple remains."""
    random = Random(7)
    events = [colliding_row(random, key=str(random.randrange(40))) for _ in range(600)]
    expected: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in events:
        held = expected.get(version_of(event), event)
        expected[version_of(event)] = max(held, event, key=order_of)
    while events:
        batch = {version_of(event): event for event in events[: random.randrange(1, 30)]}
        chosen = list(batch.values())
        await inspected.store.store(chosen)
        events = [event for event in events if all(event is not done for done in chosen)]
    assert await inspected.rows() == expected


async def test_only_newer_rows_count(inspected: Inspected) -> None:
    """The count is the number of applied rows; older rows are no failure."""
    await inspected.store.store([row(key="a", sequencer="5"), row(key="b", sequencer="5")])
    older, newer, other = row(key="a", sequencer="4"), row(key="b", sequencer="6"), row(key="c")
    assert await inspected.store.store([older, newer, other]) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"size_bytes": 2**63},
        {"size_bytes": -1},
        {"key": "nul\0"},
        {"key": "half\ud800"},
        {"key": "x" * 1025},
        {"key": "😀" * 257},
        {"key": ""},
        {"bucket": "x" * 256},
        {"version_id": "x" * 1025},
        {"sequencer": "lower-case"},
        {"sequencer": "10"},
        {"sequencer": "A" * 73},
        {"state": "odd"},
        {"etag": "x" * 256},
    ],
)
async def test_one_unstorable_row_fails_all_with_bisect(inspected: Inspected, bad: dict[str, Any]) -> None:
    """A row that cannot be stored fails the whole call with BISECT, and no other row is stored."""
    with pytest.raises(StoreError) as caught:
        await inspected.store.store([row(key="good"), row(**bad)])
    assert caught.value.treatment is Treatment.BISECT
    assert await inspected.rows() == {}
    assert await inspected.store.store([row(key="good")]) == 1


async def test_a_duplicate_version_is_a_bug(inspected: Inspected) -> None:
    """Two rows of one version in one call fail as a bug of the caller, not of the data."""
    with pytest.raises(StoreError) as caught:
        await inspected.store.store([row(sequencer="1"), row(sequencer="2")])
    assert caught.value.sqlstate == "21000"
    assert caught.value.treatment is Treatment.RETRY
    assert await inspected.rows() == {}


async def test_a_quarantined_body_is_stored_unmodified(inspected: Inspected) -> None:
    """Any body that a queue can deliver is stored, even if it is no valid text for the database."""
    body = 'no json \0 \ud800 😀 "'
    await inspected.store.quarantine([(message(body=body), Rejection("unknown_shape", "a sentence"))])
    stored = await inspected.quarantined()
    assert stored == {("http://queue.test/1/main", "m-1"): Quarantined(body, "unknown_shape", "a sentence", 1)}


async def test_quarantining_again_changes_only_the_count(inspected: Inspected) -> None:
    """For a message that is stored already only the receive count changes, and never decreases."""
    first = Rejection("unknown_shape", "first")
    await inspected.store.quarantine([(message(body="one", receive_count=2), first)])
    await inspected.store.quarantine([(message(body="two", receive_count=3), Rejection("other", "second"))])
    await inspected.store.quarantine([(message(body="three", receive_count=1), first)])
    (stored,) = (await inspected.quarantined()).values()
    assert stored == Quarantined("one", "unknown_shape", "first", 3)


async def test_a_duplicate_message_is_quarantined_once(inspected: Inspected) -> None:
    """A queue may deliver a message twice within one batch."""
    rejection = Rejection("unknown_shape", "a sentence")
    twice = [(message(receive_count=1), rejection), (message(receive_count=2), rejection)]
    await inspected.store.quarantine([*twice, (message("m-2"), rejection)])
    assert {key: stored.receive_count for key, stored in (await inspected.quarantined()).items()} == {
        ("http://queue.test/1/main", "m-1"): 2,
        ("http://queue.test/1/main", "m-2"): 1,
    }


async def test_no_messages_need_no_call(inspected: Inspected) -> None:
    """An empty list needs no call to the database."""
    await inspected.store.quarantine([])
    assert await inspected.quarantined() == {}


async def test_ping_of_a_healthy_store_succeeds(inspected: Inspected) -> None:
    """A store that accepts writes answers a ping."""
    await inspected.store.ping()
