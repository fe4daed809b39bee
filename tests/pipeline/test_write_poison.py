"""Write failures that do not say whether the database or a row is the cause: what is decided, and on which evidence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from subscriber.errors import Treatment
from subscriber.model import Delivery, ObjectEvent
from subscriber.pipeline.judgment import CONFLICT_TRIES
from tests.fakes.samples import REJECTION, bad_event, batch, delivery, failing, object_event, put
from tests.fakes.store import Fail, FakeStore, store_error, version_of
from tests.pipeline.writer import HOLD_SECONDS, Setup

STORED = ("stored", "")


class FailsForKeys(FakeStore):
    """Fails every write that contains one of some keys, with a failure that names no row."""

    def __init__(self, treatment: Treatment, *keys: str) -> None:
        super().__init__()
        self.treatment = treatment
        self.failing_keys = frozenset(keys)

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert, unless one of the keys is among them."""
        if self.failing_keys & {row.key for row in rows}:
            raise failing(self.treatment)
        return await super().store(rows, limit_seconds)


@pytest.mark.parametrize(
    "treatment", [one for one in Treatment if not one.concerns_row and one is not Treatment.CREDENTIALS]
)
async def test_a_message_that_fails_alone_while_others_are_stored_is_poison(treatment: Treatment) -> None:
    """For any treatment: it is retried later, and all others are stored."""
    setup = Setup(store=FailsForKeys(treatment, "07"))
    deliveries = [put(f"{number:02}") for number in range(20)]
    verdicts = await setup.write(*deliveries)
    assert verdicts == [("retry_later", treatment.value) if number == 7 else STORED for number in range(20)]
    assert setup.breaker_state() == (False, False)


async def test_a_message_whose_row_may_be_the_cause_is_quarantined() -> None:
    """As with an operator's trigger that raises for some rows; the good rows of the message are stored."""
    setup = Setup(store=FailsForKeys(Treatment.MAYBE_ROW, "bad"))
    mixed = delivery(object_event("good"), object_event("bad"))
    assert await setup.write(put("before"), mixed, put("after")) == [STORED, ("quarantined", "maybe_row"), STORED]
    assert setup.keys() == {"before", "good", "after"}


async def test_when_every_row_fails_no_message_is_poison() -> None:
    """As with a trigger that raises for all rows: nothing is quarantined, and everything is stored afterwards."""
    store = FailsForKeys(Treatment.MAYBE_ROW, *"abcd")
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(*(put(key) for key in "abcd")))
        await asyncio.sleep(600)
        assert (setup.breaker.is_unavailable, setup.leases.is_on_probation) == (True, True)
        assert (setup.receipts(), setup.reasons()) == ([], {})
        store.failing_keys = frozenset()
        await asyncio.sleep(5)
        assert setup.keys() == set("abcd")
    assert [one.verdict for one in setup.receipts()] == ["stored"] * 4


@pytest.mark.parametrize("treatment", [one for one in Treatment if one is not Treatment.BISECT])
async def test_a_success_of_the_quarantine_proves_nothing_about_the_index(treatment: Treatment) -> None:
    """Bodies are quarantined while no row is stored: no healthy message is poison, and the circuit stays open."""
    store = FailsForKeys(treatment, *"abcd")
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(*(put(key) for key in "abcd")))
        for _ in range(60):
            await asyncio.sleep(10)
            await setup.inbox.send(batch(delivery(rejection=REJECTION)))
        await asyncio.sleep(100)
        assert [one.verdict for one in setup.receipts()] == ["quarantined"] * 60
        assert (setup.breaker.is_unavailable, setup.leases.is_on_probation) == (True, True)
        store.failing_keys = frozenset()
        await asyncio.sleep(100)
        assert setup.keys() == set("abcd")
    assert [one.verdict for one in setup.receipts()] == ["stored"] * 4
    assert setup.breaker_state() == (False, False)


@pytest.mark.parametrize("bad", [delivery(object_event("good"), rejection=REJECTION), delivery(bad_event())])
async def test_when_only_the_quarantine_fails_healthy_messages_are_stored(bad: Delivery) -> None:
    """As without a privilege on that table: only the bad message is retried later."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.STOP))] * 1000, call="quarantine")
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("a"), bad, put("b"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        verdicts = sorted((one.verdict, one.reason) for one in setup.receipts())
        assert verdicts == [("retry_later", "stop"), STORED, STORED]
        assert setup.breaker_state() == (False, False)
    assert setup.keys() >= {"a", "b"}


async def test_a_quarantine_that_fails_once_costs_no_receive() -> None:
    """Its failure counts as the database's, until it fails again while rows are stored."""
    setup = Setup()
    setup.store.script(Fail(failing(Treatment.RECONNECT)), call="quarantine")
    rejected = delivery(object_event("good"), rejection=REJECTION)
    assert await setup.write(put("a"), rejected) == [STORED, ("quarantined", REJECTION.reason)]


async def test_repeated_conflicts_are_bisected_soon() -> None:
    """Three attempts of the whole batch are enough, and one of each half, as with a row that stays locked."""
    store = FailsForKeys(Treatment.RETRY, "07")
    setup = Setup(store=store)
    sizes: list[int] = []
    original = store.store

    async def record(rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        sizes.append(len(rows))
        return await original(rows, limit_seconds)

    store.store = record  # type: ignore[method-assign]  # records the size of each attempt
    await setup.write(*(put(f"{number:02}") for number in range(16)))
    assert {size: sizes.count(size) for size in (16, 8, 4, 2)} == {16: CONFLICT_TRIES, 8: 2, 4: 2, 2: 2}


class FullDisk(FakeStore):
    """A full disk: only existing rows can be written again."""

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Fail if a row among them is new."""
        if any(version_of(row) not in self.rows for row in rows):
            raise store_error(Treatment.STOP, "53100")
        return await super().store(rows, limit_seconds)


async def test_on_a_full_disk_no_message_is_poison_though_some_are_stored() -> None:
    """A row that needs no new space proves nothing about one that does, so that message gets no retry delay."""
    setup = Setup(store=FullDisk())
    old = [put(f"old/{number}") for number in range(4)]
    setup.store.rows = {version_of(event): event for one in old for event in one.events}
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("new"), *old, put("newer"))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert sorted(one.verdict for one in setup.receipts()) == ["released", "released", *["stored"] * 4]


async def test_a_rejected_login_makes_no_message_poison() -> None:
    """Though others are stored over open connections: the message is held until its release."""
    setup = Setup(store=FailsForKeys(Treatment.CREDENTIALS, "bad"))
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("a"), put("bad"), put("b"))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert sorted(one.verdict for one in setup.receipts()) == ["released", "stored", "stored"]
