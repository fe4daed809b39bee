"""How long a healthy message waits for a broken one, and how soon poison is found: bounds, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from subscriber.errors import StoreError, Treatment
from subscriber.flow.breaker import PROBE_BACKOFF
from subscriber.model import Delivery, ObjectEvent
from subscriber.pipeline.comparison import COMPARISON_PREFIX
from tests.fakes.samples import batch, delivery, failing, object_event, put
from tests.fakes.store import Fail, FakeStore, Fault, Hold, store_error
from tests.pipeline.writer import Setup

HOLD_MAX_SECONDS = 900.0


class Timed(FakeStore):
    """Notes when each key was stored first."""

    def __init__(self) -> None:
        super().__init__()
        self.stored_at: dict[str, float] = {}

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """As ever."""
        applied = await super().store(rows, limit_seconds)
        now = asyncio.get_running_loop().time()
        for row in (row for row in rows if not row.key.startswith(COMPARISON_PREFIX)):
            self.stored_at.setdefault(row.key, now)
        return applied


class Broken(Timed):
    """One key is broken: a statement that holds it fails, at once or when its time is over."""

    def __init__(self, key: str, error: StoreError, statement_seconds: float = 0.0) -> None:
        super().__init__()
        self.key = key
        self.error = error
        self.statement_seconds = statement_seconds
        """How long such a statement waits before it fails."""

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """As ever, unless the key is among them."""
        if any(row.key == self.key for row in rows):
            await asyncio.sleep(min(limit_seconds, self.statement_seconds))
            raise self.error
        return await super().store(rows, limit_seconds)


BROKEN = {
    "locked": (store_error(Treatment.BACK_OFF, "57014"), True),
    "trigger": (failing(Treatment.MAYBE_ROW), False),
    "class 22": (store_error(Treatment.BISECT, "22012"), False),
    "deadlocks": (failing(Treatment.RETRY), False),
    "crashes the server": (failing(Treatment.RECONNECT), False),
}


def held(*deliveries: Delivery) -> tuple[Delivery, ...]:
    """These, under leases that end when HOLD_MAX_SECONDS are over."""
    for one in deliveries:
        one.message.lease.held_until = asyncio.get_running_loop().time() + HOLD_MAX_SECONDS
    return deliveries


@pytest.mark.parametrize("limit", [0.05, 1.0, 4.0])
@pytest.mark.parametrize("size", [2, 100, 1000])
@pytest.mark.parametrize("statement_seconds", [1.0, 29.0])
@pytest.mark.parametrize("what", BROKEN)
async def test_beside_any_one_broken_row_the_others_are_stored_in_two_statements(
    what: str, statement_seconds: float, size: int, limit: float
) -> None:
    """Two statement times and a second, in its own batch; what is broken is found within a tenth of the hold."""
    error, waits = BROKEN[what]
    store = Broken("bad", error, statement_seconds if waits else 0.0)
    setup = Setup(limit=limit, store=store, statement_seconds=statement_seconds)
    async with setup.running():
        began = asyncio.get_running_loop().time()
        await setup.inbox.send(batch(*held(*(put(f"{number:04}") for number in range(size - 1)), put("bad"))))
        await asyncio.sleep(HOLD_MAX_SECONDS / 10)
        verdicts = {one.verdict for one in setup.receipts()}
        longest = max(at - began for at in store.stored_at.values())
    assert len(store.stored_at) == size - 1
    assert longest <= 2 * statement_seconds + 1
    assert verdicts in ({"stored", "quarantined"}, {"stored", "retry_later"})


SEARCHED = [(limit, *case) for limit in (1.0, 4.0) for case in [(5, 1), (25, 1), (1, 4), (5, 4)]]


@pytest.mark.parametrize(("limit", "messages", "batches"), [*SEARCHED, (4.0, 25, 20)])
async def test_many_messages_about_one_locked_row_are_set_apart(limit: float, messages: int, batches: int) -> None:
    """However many batches have some, and though no question finds the row, for it is inserted and not committed."""
    statement_seconds = 1.5
    store = Broken("bad", store_error(Treatment.BACK_OFF, "57014"), statement_seconds)
    setup = Setup(limit=limit, store=store, statement_seconds=statement_seconds)
    size, every = 200, 200 // messages
    async with setup.running():
        began = asyncio.get_running_loop().time()
        for number in range(batches):
            keys = ["bad" if place % every == 0 else f"{number}/{place:03}" for place in range(size)]
            await setup.inbox.send(batch(*held(*map(put, keys))))
        await asyncio.sleep(HOLD_MAX_SECONDS / 10)
        verdicts = [one.verdict for one in setup.receipts()]
    assert max(at - began for at in store.stored_at.values()) <= 2 * statement_seconds + 1
    assert {verdict: verdicts.count(verdict) for verdict in set(verdicts)} == {
        "stored": batches * (size - messages),
        "retry_later": batches * messages,
    }


class Unreachable(Timed):
    """No statement reaches the database until `reachable` is set; then one key is locked."""

    def __init__(self, statement_seconds: float) -> None:
        super().__init__()
        self.reachable = asyncio.Event()
        self.write_timeout_seconds = statement_seconds

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """As ever, once the database is reachable."""
        self._reach()
        return await super().store(rows, limit_seconds)

    async def ping(self) -> None:
        """As ever, once the database is reachable."""
        self._reach()
        await super().ping()

    def _reach(self) -> None:
        if not self.reachable.is_set():
            raise failing(Treatment.RECONNECT)


@pytest.mark.parametrize("limit", [1.0, 4.0])
async def test_after_an_outage_a_locked_row_is_waited_for_only_by_the_first_statements(limit: float) -> None:
    """Batches that had waited for the database know by then which row it is, though they were planned before."""
    statement_seconds = 1.5
    store = Unreachable(statement_seconds)
    store.rows = {(event.bucket, event.key, event.version_id): event for event in put("bad").events}
    store.locked = set(store.rows)
    setup = Setup(limit=limit, store=store, statement_seconds=statement_seconds)
    async with setup.running():
        for number in range(20):
            keys = ["bad", *(f"{number}/{place}" for place in range(9))]
            await setup.inbox.send(batch(*held(*map(put, keys))))
        await asyncio.sleep(5)
        assert setup.breaker.is_unavailable
        store.reachable.set()
        reachable_at = asyncio.get_running_loop().time()
        await asyncio.sleep(HOLD_MAX_SECONDS / 10)
    longest_probe_delay_seconds = PROBE_BACKOFF.max_seconds
    assert len(store.stored_at) == 180
    assert max(store.stored_at.values()) - reachable_at <= longest_probe_delay_seconds + 2 * statement_seconds + 1


@pytest.mark.parametrize("question", ["answered", "failing", "too slow"])
@pytest.mark.parametrize("batches", [1, 20])
async def test_with_one_writer_a_row_that_is_locked_holds_up_no_batch_behind(batches: int, question: str) -> None:
    """Of 200 messages each, 25 about the row; also where the question about locked rows has no answer at first."""
    statement_seconds = 1.5
    store = Timed()
    store.write_timeout_seconds = statement_seconds
    setup = Setup(limit=1.0, store=store, statement_seconds=statement_seconds)
    async with setup.running():
        await store.store([object_event("bad")])
        store.locked = {("lake", "bad", "")} & store.rows.keys()
        assert store.locked
        faults: dict[str, Fault] = {"failing": Fail(failing(Treatment.BACK_OFF)), "too slow": Hold()}
        store.script(faults.get(question), call="locked_rows")
        began = asyncio.get_running_loop().time()
        for number in range(batches):
            keys = ["bad" if place % 8 == 0 else f"{number}/{place:03}" for place in range(200)]
            await setup.inbox.send(batch(*held(*map(put, keys))))
        await asyncio.sleep(HOLD_MAX_SECONDS / 10)
        verdicts = [one.verdict for one in setup.receipts()]
    longest = max(at - began for at in store.stored_at.values())
    assert longest <= (statement_seconds + 1 if question == "answered" else 2 * statement_seconds + 1)
    assert (verdicts.count("stored"), verdicts.count("retry_later")) == (batches * 175, batches * 25)


async def test_of_a_message_with_several_rows_only_the_locked_one_sets_others_apart() -> None:
    """A message about one of its other rows is stored, and no message about it is delayed."""
    store = Broken("bad", store_error(Treatment.BACK_OFF, "57014"), 1.5)
    setup = Setup(store=store, statement_seconds=1.5)
    several = delivery(*(object_event(key) for key in ("a", "bad", "c")))
    async with setup.running():
        await setup.inbox.send(batch(*held(several, *map(put, "acdefgh"))))
        await asyncio.sleep(HOLD_MAX_SECONDS / 10)
        verdicts = sorted(one.verdict for one in setup.receipts())
    assert verdicts == ["retry_later", *["stored"] * 7]
    assert setup.keys() == set("acdefgh")


async def test_other_batches_do_not_wait_for_a_suspect() -> None:
    """With one permit only, while a message waits for evidence, a stream of others is stored as it comes."""
    store = Broken("bad", failing(Treatment.MAYBE_ROW))
    setup = Setup(limit=1.0, store=store)
    async with setup.running():
        await setup.inbox.send(batch(*held(put("bad"))))
        for number in range(20):
            sent_at = asyncio.get_running_loop().time()
            await setup.inbox.send(batch(*held(put(f"{number}"))))
            await asyncio.sleep(0.5)
            assert store.stored_at[f"{number}"] - sent_at <= 0.1


@pytest.mark.parametrize("code", ["22012", "23502", "23503", "P0001"])
async def test_a_trigger_that_fails_for_all_empties_nothing_into_the_quarantine(code: str) -> None:
    """Whatever its SQLSTATE: the breaker opens, all wait, and all are stored once the trigger is gone."""
    treatment = Treatment.MAYBE_ROW if code.startswith("P0") else Treatment.BISECT

    class All(FakeStore):
        is_broken = True

        async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
            if self.is_broken:
                raise store_error(treatment, code)
            return await super().store(rows, limit_seconds)

    store = All()
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(*held(*(put(str(number)) for number in range(500)))))
        await asyncio.sleep(120)
        assert setup.breaker.is_unavailable
        assert (setup.receipts(), setup.reasons()) == ([], {})
        store.is_broken = False
        await asyncio.sleep(30)
        assert len(setup.keys()) == 500
    assert {one.verdict for one in setup.receipts()} == {"stored"}


async def test_one_failure_among_many_that_succeed_opens_nothing() -> None:
    """A statement timeout beside a stream that is stored: polling goes on, and the daemon stays ready."""
    store = Broken("bad", store_error(Treatment.BACK_OFF, "57014"), 29.0)
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(*held(put("bad"), put("good"))))
        for number in range(200):
            await setup.inbox.send(batch(*held(put(f"{number}"))))
            await asyncio.sleep(0.5)
            assert not setup.breaker.is_unavailable
    assert setup.reported == [1]
