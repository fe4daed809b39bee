"""Write, when a failure does not say whether the database or a row is at fault: what is found out, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from subscriber.errors import Treatment
from subscriber.model import Delivery, ObjectEvent
from subscriber.pipeline.write import ROW_FAILURES
from tests.fakes.samples import REFUSAL, bad_event, batch, delivery, failing, object_event, put
from tests.fakes.store import FakeStore, Refuse, store_error, version_of
from tests.pipeline.writer import HOLD_SECONDS, Stage

STORED = ("stored", "")


class Picky(FakeStore):
    """Refuses every write that contains one of some keys, with a failure that does not speak of a row."""

    def __init__(self, treatment: Treatment, *keys: str) -> None:
        super().__init__()
        self.treatment = treatment
        self.refused = frozenset(keys)

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """As ever, unless one of the keys is among them."""
        if self.refused & {row.key for row in rows}:
            raise failing(self.treatment)
        return await super().store(rows)


@pytest.mark.parametrize(
    "treatment", [one for one in Treatment if one not in ROW_FAILURES and one is not Treatment.CREDENTIALS]
)
async def test_a_message_that_is_refused_alone_while_others_are_stored_is_to_blame(treatment: Treatment) -> None:
    """Whatever the failure is called: it comes again after a while, and all others are stored."""
    stage = Stage(store=Picky(treatment, "07"))
    deliveries = [put(f"{number:02}") for number in range(20)]
    verdicts = await stage.write(*deliveries)
    assert verdicts == [("retry_later", treatment.value) if number == 7 else STORED for number in range(20)]
    assert stage.seen_breaker() == (False, False)


async def test_a_suspected_row_that_is_refused_alone_goes_to_quarantine() -> None:
    """As with a trigger of the operator's that raises for some rows; what is good in its message is stored."""
    stage = Stage(store=Picky(Treatment.MAYBE_ROW, "bad"))
    mixed = delivery(object_event("good"), object_event("bad"))
    assert await stage.write(put("before"), mixed, put("after")) == [STORED, ("quarantined", "maybe_row"), STORED]
    assert stage.keys() == {"before", "good", "after"}


async def test_where_every_row_is_refused_none_is_to_blame() -> None:
    """A trigger that raises for all is the operator's to mend: nothing is quarantined, all is stored afterwards."""
    store = Picky(Treatment.MAYBE_ROW, *"abcd")
    stage = Stage(store=store)
    async with stage.running():
        await stage.inbox.send(batch(*(put(key) for key in "abcd")))
        await asyncio.sleep(600)
        assert (stage.breaker.is_ongoing, stage.intake.is_on_probation) == (True, True)
        assert (stage.receipts(), stage.reasons()) == ([], {})
        store.refused = frozenset()
        await asyncio.sleep(5)
        assert stage.keys() == set("abcd")
    assert [one.verdict for one in stage.receipts()] == ["stored"] * 4


@pytest.mark.parametrize("treatment", [one for one in Treatment if one is not Treatment.BISECT])
async def test_what_the_quarantine_takes_says_nothing_of_the_index(treatment: Treatment) -> None:
    """Rubbish is quarantined while no row is taken: no healthy message is blamed for it, and the outage goes on."""
    store = Picky(treatment, *"abcd")
    stage = Stage(store=store)
    async with stage.running():
        await stage.inbox.send(batch(*(put(key) for key in "abcd")))
        for _ in range(60):
            await asyncio.sleep(10)
            await stage.inbox.send(batch(delivery(rejection=REFUSAL)))
        await asyncio.sleep(100)
        assert [one.verdict for one in stage.receipts()] == ["quarantined"] * 60
        assert (stage.breaker.is_ongoing, stage.intake.is_on_probation) == (True, True)
        store.refused = frozenset()
        await asyncio.sleep(100)
        assert stage.keys() == set("abcd")
    assert [one.verdict for one in stage.receipts()] == ["stored"] * 4
    assert stage.seen_breaker() == (False, False)


@pytest.mark.parametrize("bad", [delivery(object_event("good"), rejection=REFUSAL), delivery(bad_event())])
async def test_where_only_the_quarantine_refuses_healthy_messages_are_stored(bad: Delivery) -> None:
    """As without a privilege on that table: the bad message alone comes again, after a while."""
    stage = Stage()
    stage.store.script(*[Refuse(failing(Treatment.STOP))] * 1000, call="quarantine")
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("a"), bad, put("b"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert [(one.verdict, one.reason) for one in stage.receipts()] == [STORED, ("retry_later", "stop"), STORED]
        assert stage.seen_breaker() == (False, False)
    assert stage.keys() >= {"a", "b"}


async def test_a_quarantine_that_refuses_for_a_moment_costs_nobody_a_receive() -> None:
    """Its failure is the database's, until rows are taken and it refuses once more."""
    stage = Stage()
    stage.store.script(Refuse(failing(Treatment.RECONNECT)), call="quarantine")
    refused = delivery(object_event("good"), rejection=REFUSAL)
    assert await stage.write(put("a"), refused) == [STORED, ("quarantined", REFUSAL.reason)]


async def test_so_much_bad_luck_is_looked_into_at_once() -> None:
    """Twenty tries of the whole are enough to know that the next twenty will not do: as with a row somebody locks."""
    store = Picky(Treatment.RETRY, "07")
    stage = Stage(store=store)
    tries: list[int] = []
    refuse = store.store

    async def count(rows: Sequence[ObjectEvent]) -> int:
        tries.append(len(rows))
        return await refuse(rows)

    store.store = count  # type: ignore[method-assign]  # to see what is tried
    await stage.write(*(put(f"{number:02}") for number in range(16)))
    assert {size: tries.count(size) for size in (16, 8, 4, 2)} == {16: 20, 8: 21, 4: 21, 2: 21}


class Full(FakeStore):
    """A disk without room: what is there already can be written again, and nothing else."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Refused, if a row among them is new."""
        if any(version_of(row) not in self.rows for row in rows):
            raise store_error(Treatment.STOP, "53100")
        return await super().store(rows)


async def test_on_a_full_disk_no_message_is_to_blame_though_some_are_stored() -> None:
    """A row that needs no room proves nothing about one that does: that one is kept, and not hidden again and again."""
    stage = Stage(store=Full())
    old = [put(f"old/{number}") for number in range(4)]
    stage.store.rows = {version_of(event): event for one in old for event in one.events}
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("new"), *old, put("newer"))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert [one.verdict for one in stage.receipts()] == ["released", *["stored"] * 4, "released"]


async def test_a_login_that_is_refused_is_no_fault_of_a_message() -> None:
    """Though others are stored meanwhile, over connections that are open: it is kept until it is handed back."""
    stage = Stage(store=Picky(Treatment.CREDENTIALS, "bad"))
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("a"), put("bad"), put("b"))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert [one.verdict for one in stage.receipts()] == ["stored", "released", "stored"]
