"""Write, with a single place or a single message: who waits for proof keeps nobody from bringing it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from subscriber.errors import Treatment
from subscriber.model import Delivery, Message, ObjectEvent, Refusal
from tests.fakes.store import FakeStore, Refuse, store_error, version_of
from tests.fakes.things import REFUSAL, bad_event, batch, delivery, failing, object_event, put
from tests.rooms.test_write_blame import STORED, Full, Picky
from tests.rooms.write_stage import HOLD_SECONDS, Stage

LIMITS = [4.0, 1.0, 0.05]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(("treatment", "verdict"), [(Treatment.SUSPECT, "quarantined"), (Treatment.BACK_OFF, "failed")])
async def test_one_that_waits_for_proof_leaves_its_place_to_those_who_bring_it(
    limit: float, treatment: Treatment, verdict: str
) -> None:
    """A bad message comes first and alone; the healthy ones behind it are stored within a minute, and it is judged."""
    stage = Stage(limit=limit, store=Picky(treatment, "bad"))
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("bad"))))
        await asyncio.sleep(5)
        await stage.inbox.send(batch(*stage.hold(*(put(str(number)) for number in range(5)))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted((one.verdict, one.reason) for one in stage.receipts()) == sorted(
            [(verdict, treatment.value), *[STORED] * 5]
        )
    assert stage.seen_outage() == (False, False)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_body_that_waits_for_the_quarantine_leaves_its_place_to_rows(limit: float) -> None:
    """The quarantine alone refuses: rows that come later are stored, and the body is hidden for a while."""
    stage = Stage(limit=limit)
    stage.store.script(*[Refuse(failing(Treatment.STOP))] * 1000, call="quarantine")
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(delivery(refusal=REFUSAL))))
        await asyncio.sleep(5)
        await stage.inbox.send(batch(*stage.hold(put("a"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted((one.verdict, one.reason) for one in stage.receipts()) == [("failed", "stop"), STORED]


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("limit", LIMITS)
async def test_those_that_were_stored_beside_it_convict_a_bad_message(limit: float, position: int) -> None:
    """Nothing else comes: one that was taken is taken once more, and the bad one is not, wherever it stood."""
    stage = Stage(limit=limit, store=Picky(Treatment.SUSPECT, "bad"))
    deliveries = [put("bad" if number == position else str(number)) for number in range(4)]
    verdicts = await stage.write(*deliveries)
    assert verdicts == [("quarantined", "suspect") if number == position else STORED for number in range(4)]
    assert len(stage.store.rows) == 3


class Broken(FakeStore):
    """From the third write on the index takes nothing: whatever it took before."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Refused as by a trigger."""
        if len(self.rows) >= 2 or len(rows) > 2:
            raise failing(Treatment.SUSPECT)
        return await super().store(rows)


async def test_where_the_index_takes_nothing_any_more_nobody_is_convicted() -> None:
    """What was stored is refused as well when it is tried again: it stays stored, and the others are kept."""
    stage = Stage(store=Broken())
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(*(put(str(number)) for number in range(4)))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert [one.verdict for one in stage.receipts()] == ["returned", "returned", "stored", "stored"]
        assert stage.reasons() == {}


class FullForBodies(Full):
    """The same disk, and a quarantine that needs room for every body."""

    async def quarantine(self, entries: Sequence[tuple[Message, Refusal]]) -> None:
        """Refused."""
        raise store_error(Treatment.STOP, "53100")


async def test_a_full_disk_is_no_fault_of_a_body_either() -> None:
    """A row that needs no room is stored, and a body that does is kept until it is handed back."""
    stage = Stage(store=FullForBodies())
    old = put("old")
    stage.store.rows = {version_of(event): event for event in old.events}
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(old, delivery(refusal=REFUSAL))))
        await asyncio.sleep(HOLD_SECONDS + 10)
        assert [(one.verdict, one.reason) for one in stage.receipts()] == [STORED, ("returned", "")]


@pytest.mark.parametrize("bad", [delivery(refusal=REFUSAL), delivery(bad_event())])
async def test_a_connection_that_breaks_twice_is_no_fault_of_a_body(bad: Delivery) -> None:
    """Though a row is stored in between."""
    stage = Stage()
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 2, call="quarantine")
    verdicts = await stage.write(*stage.hold(put("a"), bad))
    assert [verdict for verdict, _ in verdicts] == ["stored", "quarantined"]


async def test_an_index_that_is_away_is_no_fault_of_the_quarantine() -> None:
    """The body is kept already; what is good in the message is stored when the index is back."""
    stage = Stage()
    reconnect = Refuse(failing(Treatment.RECONNECT))
    stage.store.script(None, reconnect, None, reconnect)
    bad = delivery(bad_event("x"), object_event("good"))
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(bad)))
        await asyncio.sleep(1)
        await stage.inbox.send(batch(*stage.hold(put("other"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted(one.verdict for one in stage.receipts()) == ["quarantined", "stored"]
    assert stage.keys() == {"good", "other"}
    assert stage.seen_outage() == (False, False)
