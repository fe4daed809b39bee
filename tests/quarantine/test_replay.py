"""Replay: writes and marks messages that can be decoded now; the others wait; an interruption loses nothing."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from subscriber.adapters.postgres.quarantine import Filters, Quarantine
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.events.decode import decode
from subscriber.flow.backoff import Backoff
from subscriber.model import ObjectEvent
from subscriber.pipeline import bisection
from subscriber.quarantine import replay as replay_module
from subscriber.quarantine.replay import Replay, ReplayOptions, Tally, page_messages, pause_for
from tests.e2e.environment import put_body
from tests.quarantine.conftest import Put

WAITING = Filters(is_replayed=False)


def a_replay(quarantine: Quarantine, store: Any, **options: Any) -> Replay:
    """A replay that reports no progress."""
    return Replay(quarantine, store, decode, ReplayOptions(by="tester", **options), lambda _: None)


def counts(tally: Tally) -> tuple[int, int, int, dict[str, int]]:
    """All counts of a tally."""
    return tally.seen, tally.replayed, tally.rows, dict(tally.rejected)


async def keys(database: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """The keys in the index."""
    return [row[0] for row in await database.fetch("SELECT key FROM object_versions ORDER BY key")]


async def test_decodable_messages_are_written_and_marked(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """One that an older release rejected becomes a row, one still rejected waits, a second run changes nothing."""
    await put("good", body=put_body("a.txt").encode())
    await put("silent", body=b'{"Event":"s3:TestEvent"}')
    await put("bad", body=b"\xed\xa0\x80 no JSON")
    await put("bytes", body=b"\xff")
    await put("other", body=b"[]", reason="other")
    replay = a_replay(quarantine, store)
    tally = await replay.run(WAITING)
    assert counts(tally) == (5, 2, 1, {"not_json": 2, "unknown_envelope": 1})
    assert {bucket: each.rows for bucket, each in replay.bucket_tallies.take().items()} == {"lake": 1}
    assert await keys(database) == ["a.txt"]
    marks = await database.fetch("SELECT message_id FROM quarantined_messages WHERE replayed_by = 'tester' ORDER BY 1")
    assert [row[0] for row in marks] == ["good", "silent"]
    assert counts(await a_replay(quarantine, store).run(WAITING)) == (
        3,
        0,
        0,
        {"not_json": 2, "unknown_envelope": 1},
    )


async def test_a_dry_run_changes_nothing(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """It gives the counts of a replay, and the tables stay unchanged."""
    await put("good", body=put_body("a.txt").encode())
    await put("bad")
    tally = await a_replay(quarantine, store, dry_run=True).run(WAITING)
    assert counts(tally) == (2, 1, 0, {"unknown_envelope": 1})
    assert await keys(database) == []
    assert await database.fetchval("SELECT count(*) FROM quarantined_messages WHERE replayed_at IS NULL") == 2


async def test_an_old_message_does_not_undo_a_newer_event(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The newer row stays; the message is marked as replayed."""
    newer = decode(
        replay_module.message_of(await _quarantined(quarantine, put, "new", put_body("a.txt", second=60, size=2)))
    )
    await store.store(newer.events)
    await put("old", body=put_body("a.txt", second=1, size=1).encode())
    tally = await a_replay(quarantine, store).run(WAITING)
    assert (tally.replayed, tally.rows) == (2, 0)
    assert await database.fetchval("SELECT size_bytes FROM object_versions") == 2


async def _quarantined(quarantine: Quarantine, put: Put, name: str, body: str) -> Any:
    await put(name, body=body.encode())
    return (await quarantine.find(name, None))[0]


class Faulty:
    """A store that fails some times at first, and always for one key; then it calls the real store."""

    def __init__(self, store: PostgresStore, *failures: Treatment, unstorable: str = "") -> None:
        self._store, self._failures, self._unstorable = store, list(failures), unstorable

    async def rehearse(self, row: ObjectEvent) -> None:
        """Call the real store."""
        await self._store.rehearse(row)

    async def locked_rows(self, rows: Sequence[ObjectEvent], limit_seconds: float) -> frozenset[tuple[str, str, str]]:
        """Call the real store."""
        return await self._store.locked_rows(rows, limit_seconds)

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Fail as configured, or call the real store."""
        if self._failures:
            raise StoreError(self._failures.pop(0), "injected", None, "injected failure")
        if self._unstorable and any(row.key == self._unstorable for row in rows):
            raise StoreError(Treatment.BISECT, "unstorable_value", "22021", "injected failure")
        return await self._store.store(rows, limit_seconds)


async def test_an_unstorable_row_is_isolated(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Its message waits; the other messages of the page are written and marked."""
    for number in range(7):
        await put(f"{number}", body=put_body(f"{number}").encode())
    tally = await a_replay(quarantine, Faulty(store, unstorable="4")).run(WAITING)
    assert (tally.replayed, dict(tally.rejected)) == (6, {"unstorable_value": 1})
    assert await keys(database) == ["0", "1", "2", "3", "5", "6"]


async def test_the_good_rows_of_a_message_with_a_bad_one_are_written(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """As the daemon writes them; the message itself keeps waiting, with the reason."""
    records = [record for key in ("good/1", "bad", "good/2") for record in json.loads(put_body(key))["Records"]]
    await put("mixed", body=json.dumps({"Records": records}).encode())
    tally = await a_replay(quarantine, Faulty(store, unstorable="bad")).run(WAITING)
    assert (tally.replayed, dict(tally.rejected)) == (0, {"unstorable_value": 1})
    assert await keys(database) == ["good/1", "good/2"]


async def test_a_failure_of_every_row_ends_the_replay(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """As with a trigger that raises for all: no message is the cause, and the operator sees the error."""
    for number in range(5):
        await put(f"{number}", body=put_body(f"{number}").encode())
    await database.execute(
        """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1/0; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE INSERT ON object_versions FOR EACH ROW EXECUTE FUNCTION no()"""
    )
    with pytest.raises(StoreError, match="division by zero"):
        await a_replay(quarantine, store).run(WAITING)
    assert await database.fetchval("SELECT count(*) FROM quarantined_messages WHERE replayed_at IS NULL") == 5


async def test_transient_failures_are_retried(
    quarantine: Quarantine, put: Put, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a deadlock, an overload or a lost connection; a failure that only an operator can fix ends the replay."""
    at_once = Backoff(first_seconds=0, max_seconds=0, jitter=0)
    monkeypatch.setattr(replay_module, "PROBE_BACKOFF", at_once)
    monkeypatch.setattr(bisection, "DATABASE_BACKOFF", at_once)
    await put("one", body=put_body("a.txt").encode())
    faulty = Faulty(store, Treatment.RETRY, Treatment.BACK_OFF, Treatment.RECONNECT)
    assert (await a_replay(quarantine, faulty).run(WAITING)).replayed == 1
    await put("two", body=put_body("b.txt").encode())
    for failures in ([Treatment.STOP], [Treatment.RECONNECT] * replay_module.CALL_ATTEMPTS):
        with pytest.raises(StoreError, match="injected failure"):
            await a_replay(quarantine, Faulty(store, *failures)).run(WAITING)
    assert (await a_replay(quarantine, store).run(WAITING)).replayed == 1


async def test_an_interruption_between_writing_and_marking_is_repaired(
    quarantine: Quarantine, put: Put, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The rows exist without marks: the next replay changes no row and sets the marks."""
    for number in range(5):
        await put(f"{number}", body=put_body(f"{number}").encode())

    class Interrupted(Quarantine):
        async def mark(self, *_: object) -> int:
            raise asyncio.CancelledError

    interrupted = a_replay(Interrupted(quarantine._options), store)
    with pytest.raises(asyncio.CancelledError):
        await interrupted.run(WAITING)
    assert await keys(database) == ["0", "1", "2", "3", "4"]
    assert counts(await a_replay(quarantine, store).run(WAITING)) == (5, 5, 0, {})


async def test_two_concurrent_replays(
    quarantine: Quarantine,
    put: Put,
    store: PostgresStore,
    database: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They do not disturb each other: every message is written and marked once."""
    monkeypatch.setattr(replay_module, "PAGE_MESSAGES", 3)
    for number in range(10):
        await put(f"{number}", body=put_body(f"{number}").encode())
    await asyncio.gather(*(a_replay(quarantine, store).run(WAITING) for _ in range(2)))
    assert len(await keys(database)) == 10
    assert await database.fetchval("SELECT count(*) FROM quarantined_messages WHERE replayed_at IS NULL") == 0


@pytest.mark.parametrize(
    ("rate", "seen", "elapsed", "pause"), [(0, 500, 0, 0), (100, 50, 0.2, 0.3), (100, 50, 0.6, 0), (0.5, 1, 0, 2)]
)
def test_the_pace(rate: float, seen: int, elapsed: float, pause: float) -> None:
    """The pause keeps the average below the rate; after a delay the replay does not catch up."""
    assert pause_for(rate, seen, elapsed) == pytest.approx(pause)


def test_a_slow_replay_has_small_pages() -> None:
    """The messages of one second at most, and at least one message."""
    assert [page_messages(rate) for rate in (0, 0.5, 20, 1e6)] == [200, 1, 20, 200]
