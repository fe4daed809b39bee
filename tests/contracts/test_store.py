"""What every store promises to the write room: the real one and the fake one alike."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Literal, Protocol, TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.model import Message, ObjectEvent, Rejection
from tests.adapters.postgres.object_rows import colliding_row, message, row
from tests.fakes.store import FakeStore, Quarantined, order_of, version_of


class Store(Protocol):
    """What the write room uses."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Upsert; how many were news."""
        ...

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Keep bodies."""
        ...

    async def ping(self) -> None:
        """Answer."""
        ...


Which: TypeAlias = Literal["fake", "postgres"]


class Stage:
    """A store and a way to look behind it."""

    def __init__(self, store: Store, database: asyncpg.Connection[asyncpg.Record] | None) -> None:
        self.store = store
        self._database = database

    async def rows(self) -> dict[tuple[str, str, str], ObjectEvent]:
        """The index, read past the store."""
        if isinstance(self.store, FakeStore):
            return self.store.rows
        assert self._database is not None
        columns = ", ".join(ObjectEvent.__struct_fields__)
        found = await self._database.fetch(f"SELECT {columns} FROM object_versions")
        return {version_of(event): event for event in (ObjectEvent(*record) for record in found)}

    async def quarantined(self) -> dict[tuple[str, str], Quarantined]:
        """The quarantine, read past the store."""
        if isinstance(self.store, FakeStore):
            return self.store.quarantined
        assert self._database is not None
        found = await self._database.fetch("SELECT * FROM quarantined_messages")
        return {(record["queue"], record["message_id"]): _quarantined(record) for record in found}


def _quarantined(record: asyncpg.Record) -> Quarantined:
    body = record["body"].decode("utf-8", "surrogatepass")
    return Quarantined(body, record["reason"], record["detail"], record["receive_count"])


@pytest.fixture(params=["fake", "postgres"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each store in turn."""
    if request.param == "fake":
        return Stage(FakeStore(), None)
    store: PostgresStore = request.getfixturevalue("store")
    return Stage(store, request.getfixturevalue("database"))


async def test_a_row_is_stored_as_it_is(stage: Stage) -> None:
    """What is stored comes back field by field, and counts as applied."""
    event = row(key="ordner/ü 😀", version_id="v1", size_bytes=None, etag=None, state="removed")
    assert await stage.store.store([event]) == 1
    assert await stage.rows() == {version_of(event): event}


async def test_the_same_rows_again_change_nothing(stage: Stage) -> None:
    """Storing is idempotent, and the second time nothing counts as applied."""
    events = [row(key="a"), row(key="b", state="delete_marker")]
    assert await stage.store.store(events) == 2
    before = await stage.rows()
    assert await stage.store.store(events) == 0
    assert await stage.rows() == before


async def test_no_rows_are_no_work(stage: Stage) -> None:
    """An empty batch is applied without asking anybody."""
    assert await stage.store.store([]) == 0


async def test_the_newest_stays_in_any_order(stage: Stage) -> None:
    """In whatever order and batches events come, the largest by the order tuple is what is left."""
    random = Random(7)
    events = [colliding_row(random, key=str(random.randrange(40))) for _ in range(600)]
    expected: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in events:
        held = expected.get(version_of(event), event)
        expected[version_of(event)] = max(held, event, key=order_of)
    while events:
        batch = {version_of(event): event for event in events[: random.randrange(1, 30)]}
        chosen = list(batch.values())
        await stage.store.store(chosen)
        events = [event for event in events if all(event is not done for done in chosen)]
    assert await stage.rows() == expected


async def test_only_newer_rows_count(stage: Stage) -> None:
    """The count says how many rows were news, and older ones among them are no failure."""
    await stage.store.store([row(key="a", sequencer="5"), row(key="b", sequencer="5")])
    older, newer, other = row(key="a", sequencer="4"), row(key="b", sequencer="6"), row(key="c")
    assert await stage.store.store([older, newer, other]) == 2


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
async def test_one_unstorable_row_fails_all_with_halve(stage: Stage, bad: dict[str, Any]) -> None:
    """A row that cannot be stored fails the whole call with HALVE, and none of the others is stored."""
    with pytest.raises(StoreError) as caught:
        await stage.store.store([row(key="good"), row(**bad)])
    assert caught.value.treatment is Treatment.BISECT
    assert await stage.rows() == {}
    assert await stage.store.store([row(key="good")]) == 1


async def test_a_version_named_twice_is_our_own_fault(stage: Stage) -> None:
    """Two rows of one version in one call are refused as a fault of the caller, not of the data."""
    with pytest.raises(StoreError) as caught:
        await stage.store.store([row(sequencer="1"), row(sequencer="2")])
    assert caught.value.sqlstate == "21000"
    assert caught.value.treatment is Treatment.RETRY
    assert await stage.rows() == {}


async def test_a_quarantined_body_is_kept_as_it_came(stage: Stage) -> None:
    """Any body a queue can give is kept, even what is no text for a database."""
    body = 'no json \0 \ud800 😀 "'
    await stage.store.quarantine([(message(body=body), Rejection("unknown_shape", "a sentence"))])
    kept = await stage.quarantined()
    assert kept == {("http://queue.test/1/main", "m-1"): Quarantined(body, "unknown_shape", "a sentence", 1)}


async def test_quarantine_again_moves_only_the_count(stage: Stage) -> None:
    """Of a message that is there already only the receive count moves, and never backwards."""
    first = Rejection("unknown_shape", "first")
    await stage.store.quarantine([(message(body="one", receive_count=2), first)])
    await stage.store.quarantine([(message(body="two", receive_count=3), Rejection("other", "second"))])
    await stage.store.quarantine([(message(body="three", receive_count=1), first)])
    (kept,) = (await stage.quarantined()).values()
    assert kept == Quarantined("one", "unknown_shape", "first", 3)


async def test_a_message_twice_in_one_quarantine_is_kept_once(stage: Stage) -> None:
    """A queue may deliver a message twice within one batch; quarantine bears it."""
    rejection = Rejection("unknown_shape", "a sentence")
    twice = [(message(receive_count=1), rejection), (message(receive_count=2), rejection)]
    await stage.store.quarantine([*twice, (message("m-2"), rejection)])
    assert {key: kept.receive_count for key, kept in (await stage.quarantined()).items()} == {
        ("http://queue.test/1/main", "m-1"): 2,
        ("http://queue.test/1/main", "m-2"): 1,
    }


async def test_nothing_to_quarantine_is_no_work(stage: Stage) -> None:
    """An empty quarantine is kept without asking anybody."""
    await stage.store.quarantine([])
    assert await stage.quarantined() == {}


async def test_ping_of_a_healthy_store_succeeds(stage: Stage) -> None:
    """A store that can be written to answers a ping."""
    await stage.store.ping()
