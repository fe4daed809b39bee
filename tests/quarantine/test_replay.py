"""Replay: what can be read today is written and marked, what cannot waits, and stopping anywhere loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from subscriber.adapters.postgres.quarantine import Filters, Quarantine
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError, Treatment
from subscriber.events.decode import decode
from subscriber.model import ObjectEvent
from subscriber.quarantine import replay as replay_module
from subscriber.quarantine.replay import Replay, ReplayOptions, Tally, page_messages, pause_for
from tests.e2e.environment import put_body
from tests.quarantine.conftest import Keep

WAITING = Filters(is_replayed=False)


def a_replay(quarantine: Quarantine, store: Any, **options: Any) -> Replay:
    """One that reports to nobody."""
    return Replay(quarantine, store, decode, ReplayOptions(by="tester", **options), lambda _: None)


def told(tally: Tally) -> tuple[int, int, int, dict[str, int]]:
    """All that a tally says."""
    return tally.seen, tally.replayed, tally.rows, dict(tally.refused)


async def keys(database: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """What the index holds."""
    return [row[0] for row in await database.fetch("SELECT key FROM object_versions ORDER BY key")]


async def test_what_can_be_read_today_is_written_and_marked(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """What a former release refused becomes a row; what is refused still waits; a second run finds nothing new."""
    await keep("good", body=put_body("a.txt").encode())
    await keep("silent", body=b'{"Event":"s3:TestEvent"}')
    await keep("bad", body=b"\xed\xa0\x80 no JSON")
    await keep("bytes", body=b"\xff")
    await keep("foreign", body=b"[]", reason="other")
    tally = await a_replay(quarantine, store).run(WAITING)
    assert told(tally) == (5, 2, 1, {"not_json": 2, "unknown_envelope": 1})
    assert await keys(database) == ["a.txt"]
    marks = await database.fetch("SELECT message_id FROM quarantined_messages WHERE replayed_by = 'tester' ORDER BY 1")
    assert [row[0] for row in marks] == ["good", "silent"]
    assert told(await a_replay(quarantine, store).run(WAITING)) == (3, 0, 0, {"not_json": 2, "unknown_envelope": 1})


async def test_a_rehearsal_changes_nothing(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """It tells what a replay would tell, and the tables stay as they are."""
    await keep("good", body=put_body("a.txt").encode())
    await keep("bad")
    tally = await a_replay(quarantine, store, dry_run=True).run(WAITING)
    assert told(tally) == (2, 1, 0, {"unknown_envelope": 1})
    assert await keys(database) == []
    assert await database.fetchval("SELECT count(*) FROM quarantined_messages WHERE replayed_at IS NULL") == 2


async def test_an_old_message_does_not_undo_a_newer_event(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """What the index knows better stays; the message is done all the same."""
    newer = decode(replay_module.message_of(await _kept(quarantine, keep, "new", put_body("a.txt", second=60, size=2))))
    await store.store(newer.events)
    await keep("old", body=put_body("a.txt", second=1, size=1).encode())
    tally = await a_replay(quarantine, store).run(WAITING)
    assert (tally.replayed, tally.rows) == (2, 0)
    assert await database.fetchval("SELECT size_bytes FROM object_versions") == 2


async def _kept(quarantine: Quarantine, keep: Keep, name: str, body: str) -> Any:
    await keep(name, body=body.encode())
    return (await quarantine.find(name, None))[0]


class Faulty:
    """A store in front of the real one, which fails first, and for some keys always."""

    def __init__(self, store: PostgresStore, *failures: Treatment, unstorable: str = "") -> None:
        self._store, self._failures, self._unstorable = store, list(failures), unstorable

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """As the real one, unless told otherwise."""
        if self._failures:
            raise StoreError(self._failures.pop(0), "told", None, "told to fail")
        if self._unstorable and any(row.key == self._unstorable for row in rows):
            raise StoreError(Treatment.BISECT, "unstorable_value", "22021", "told to fail")
        return await self._store.store(rows)


async def test_a_row_that_no_table_takes_stands_alone(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Its message waits; its neighbors on the page are written and marked."""
    for number in range(7):
        await keep(f"{number}", body=put_body(f"{number}").encode())
    tally = await a_replay(quarantine, Faulty(store, unstorable="4")).run(WAITING)
    assert (tally.replayed, dict(tally.refused)) == (6, {"unstorable_value": 1})
    assert await keys(database) == ["0", "1", "2", "3", "5", "6"]


async def test_what_passes_is_waited_out(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock, an overload and a lost connection cost time; what only an operator can mend ends the replay."""
    monkeypatch.setattr(replay_module, "probe_backoff", lambda *_: 0.0)
    await keep("one", body=put_body("a.txt").encode())
    faulty = Faulty(store, Treatment.RETRY, Treatment.BACK_OFF, Treatment.RECONNECT)
    assert (await a_replay(quarantine, faulty).run(WAITING)).replayed == 1
    await keep("two", body=put_body("b.txt").encode())
    for failures in ([Treatment.STOP], [Treatment.RECONNECT] * replay_module.TRIES):
        with pytest.raises(StoreError, match="told to fail"):
            await a_replay(quarantine, Faulty(store, *failures)).run(WAITING)
    assert (await a_replay(quarantine, store).run(WAITING)).replayed == 1


async def test_cut_between_writing_and_marking_it_is_done_again(
    quarantine: Quarantine, keep: Keep, store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The rows are there and the marks are not: the next replay changes no row and sets the marks."""
    for number in range(5):
        await keep(f"{number}", body=put_body(f"{number}").encode())

    class Cut(Quarantine):
        async def mark(self, *_: object) -> int:
            raise asyncio.CancelledError

    cut = a_replay(Cut(quarantine._options), store)
    with pytest.raises(asyncio.CancelledError):
        await cut.run(WAITING)
    assert await keys(database) == ["0", "1", "2", "3", "4"]
    assert told(await a_replay(quarantine, store).run(WAITING)) == (5, 5, 0, {})


async def test_two_replays_at_once(
    quarantine: Quarantine,
    keep: Keep,
    store: PostgresStore,
    database: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They disturb each other in nothing: every message is written, and marked once."""
    monkeypatch.setattr(replay_module, "PAGE_MESSAGES", 3)
    for number in range(10):
        await keep(f"{number}", body=put_body(f"{number}").encode())
    await asyncio.gather(*(a_replay(quarantine, store).run(WAITING) for _ in range(2)))
    assert len(await keys(database)) == 10
    assert await database.fetchval("SELECT count(*) FROM quarantined_messages WHERE replayed_at IS NULL") == 0


@pytest.mark.parametrize(
    ("rate", "seen", "elapsed", "pause"), [(0, 500, 0, 0), (100, 50, 0.2, 0.3), (100, 50, 0.6, 0), (0.5, 1, 0, 2)]
)
def test_the_pace(rate: float, seen: int, elapsed: float, pause: float) -> None:
    """So long that no more than the rate was seen since the begin; after a delay it does not hurry."""
    assert pause_for(rate, seen, elapsed) == pytest.approx(pause)


def test_a_slow_replay_has_small_pages() -> None:
    """At most what a second takes, and at least one message."""
    assert [page_messages(rate) for rate in (0, 0.5, 20, 1e6)] == [200, 1, 20, 200]
