"""Write: no receipt before its commit, and bad rows found without harm to good ones."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import Treatment
from tests.fakes.samples import REFUSAL, bad_event, batch, delivery, object_event, put
from tests.fakes.store import FailAfterDoing, Hold, Refuse, store_error
from tests.fakes.virtual_time import settle
from tests.pipeline.writer import HOLD_SECONDS, Stage

STORED = ("stored", "")
UNSTORABLE = ("quarantined", "check_violation")
REFUSED = ("quarantined", REFUSAL.reason)
FAILED = ("retry_later", "unstorable_value")
BISECT = Refuse(store_error(Treatment.BISECT, "22000"))


async def test_no_receipt_before_the_commit() -> None:
    """While the statement is under way nobody is told that anything is stored."""
    stage = Stage()
    hold = Hold()
    stage.store.script(hold)
    async with stage.running():
        await stage.inbox.send(batch(put("a"), put("b")))
        await hold.reached.wait()
        await asyncio.sleep(60)
        assert (stage.receipts(), stage.keys()) == ([], set())
        hold.release()
        await settle()
        assert [one.verdict for one in stage.receipts()] == ["stored", "stored"]
    assert stage.keys() == {"a", "b"}
    assert stage.outbox.is_ended


async def test_no_receipt_before_the_quarantine_has_committed() -> None:
    """The same for bodies: until the quarantine has them, the queue keeps them."""
    stage = Stage()
    hold = Hold()
    stage.store.script(hold, call="quarantine")
    async with stage.running():
        await stage.inbox.send(batch(put("a"), delivery(rejection=REFUSAL)))
        await hold.reached.wait()
        await settle()
        assert (stage.receipts(), stage.reasons()) == ([], {})
        hold.release()
        await settle()
        assert [one.verdict for one in stage.receipts()] == ["stored", "quarantined"]


@pytest.mark.parametrize("position", [0, 499, 500, 999])
async def test_one_bad_row_among_a_thousand_is_found(position: int) -> None:
    """By halving: its message alone goes to quarantine with the store's word, all others are stored."""
    stage = Stage()
    deliveries = [put(f"{number:04}") for number in range(1000)]
    deliveries[position] = delivery(bad_event())
    verdicts = await stage.write(*deliveries)
    assert verdicts == [UNSTORABLE if number == position else STORED for number in range(1000)]
    assert stage.reasons() == {deliveries[position].message.message_id: "check_violation"}
    assert len(stage.keys()) == 999
    assert len(stage.store.stored) <= 1 + 2 * 10
    assert stage.count("rows_applied_total") == 999


async def test_every_row_may_be_bad() -> None:
    """Nothing is stored, everything is quarantined, and it ends."""
    stage = Stage()
    assert await stage.write(*[delivery(bad_event(str(number))) for number in range(33)]) == [UNSTORABLE] * 33
    assert (len(stage.reasons()), stage.keys()) == (33, set())


async def test_good_rows_of_a_bad_message_are_stored() -> None:
    """The whole body goes to quarantine, what is good in it to the index."""
    stage = Stage()
    mixed = delivery(object_event("a"), bad_event(), object_event("b"))
    assert await stage.write(put("before"), mixed, put("after")) == [STORED, UNSTORABLE, STORED]
    assert stage.keys() == {"before", "a", "b", "after"}


@pytest.mark.parametrize("together", [True, False])
async def test_behind_a_bad_newest_row_the_good_older_one_is_stored(together: bool) -> None:
    """What is folded is folded anew without the bad one, in one message as in two: batching changes nothing."""
    older, newest = object_event("a", sequencer="1"), bad_event("a", sequencer="2")
    stage = Stage()
    deliveries = [delivery(older, newest)] if together else [delivery(older), delivery(newest)]
    assert (await stage.write(*deliveries))[-1] == UNSTORABLE
    assert list(stage.store.rows.values()) == [older]


async def test_a_refused_body_is_quarantined_and_its_good_rows_stored() -> None:
    """Its own reason stands in the quarantine and in the receipt."""
    stage = Stage()
    refused = delivery(object_event("a"), rejection=REFUSAL)
    assert await stage.write(refused, delivery(rejection=REFUSAL), delivery()) == [REFUSED, REFUSED, STORED]
    assert stage.keys() == {"a"}
    assert len(stage.reasons()) == 2
    assert stage.count("quarantined_messages_total", reason=REFUSAL.reason) == 2


async def test_a_refused_body_with_a_bad_row_is_counted_once() -> None:
    """It is one message in quarantine, for the reason that was found first."""
    stage = Stage()
    refused = delivery(object_event("a"), bad_event(), rejection=REFUSAL)
    assert await stage.write(refused) == [REFUSED]
    assert stage.keys() == {"a"}
    assert stage.count("quarantined_messages_total", reason=REFUSAL.reason) == 1


async def test_a_body_that_even_the_quarantine_refuses_stays_in_the_queue_alone() -> None:
    """Its good rows are stored, its neighbors acknowledged, and it is not: nothing of it may be lost."""
    stage = Stage()
    stage.store.script(BISECT, call="quarantine")
    mixed = delivery(object_event("a"), bad_event())
    assert await stage.write(put("before"), mixed, put("after")) == [STORED, FAILED, STORED]
    assert stage.keys() == {"before", "a", "after"}
    assert stage.reasons() == {}


async def test_among_refused_bodies_one_that_cannot_be_kept_stays_in_the_queue_alone() -> None:
    """The others are quarantined one by one."""
    stage = Stage()
    stage.store.script(BISECT, None, BISECT, None, call="quarantine")
    refused = [delivery(rejection=REFUSAL) for _ in range(3)]
    assert await stage.write(*refused) == [REFUSED, FAILED, REFUSED]
    assert set(stage.reasons()) == {refused[0].message.message_id, refused[2].message.message_id}


async def test_an_unknown_outcome_counts_as_not_done() -> None:
    """What was committed before the connection broke is written again, and the index is the same."""
    lost = FailAfterDoing(store_error(Treatment.RECONNECT, "08006"))
    stage, calm = Stage(), Stage()
    stage.store.script(lost, None, lost)
    stage.store.script(lost, call="quarantine")
    deliveries = [put("a"), delivery(bad_event()), delivery(rejection=REFUSAL), put("b")]
    assert await stage.write(*deliveries) == await calm.write(*deliveries)
    assert stage.store.rows == calm.store.rows
    assert stage.store.quarantined == calm.store.quarantined


async def test_writes_are_bounded_by_the_gate() -> None:
    """As many at once as it has places, and every place comes back."""
    stage = Stage(limit=3)
    async with stage.running():
        for number in range(20):
            await stage.inbox.send(batch(put(str(number))))
    assert stage.store.active_most == 3
    assert stage.limiter.at_work == 0
    assert len(stage.receipts()) == 20


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_place_rests_after_success_only(succeeds: bool) -> None:
    """A write that failed backs off in its own way; to rest as well would slow down the cure."""
    stage = Stage(limit=0.1)
    hold = Hold()
    stage.store.script(hold)
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("a"))))
        await asyncio.sleep(1)
        if succeeds:
            hold.release()
        else:
            await asyncio.sleep(HOLD_SECONDS - 1)
        await settle()
        assert [one.verdict for one in stage.receipts()] == ["stored" if succeeds else "released"]
        assert stage.limiter.has_capacity != succeeds


async def test_a_cancelled_write_gives_no_receipt_and_keeps_no_place() -> None:
    """A hard stop leaves the messages to the book, which hands them back."""
    stage = Stage()
    hold = Hold()
    stage.store.script(hold)
    room = asyncio.create_task(stage.writer.run(), name="write")
    await stage.inbox.send(batch(put("a")))
    await hold.reached.wait()
    room.cancel()
    await asyncio.wait([room])
    assert (stage.receipts(), stage.limiter.at_work) == ([], 0)


async def test_the_tally_counts_what_the_database_did() -> None:
    """Rows and statements that succeeded, and failures that were not a row's."""
    stage = Stage()
    stage.store.script(Refuse(store_error(Treatment.RETRY, "40001")))
    deliveries = [put("a"), put("b"), delivery(bad_event())]
    await stage.write(*deliveries)
    tally = stage.writer.tally
    assert (tally.rows, tally.statements, tally.failures) == (2, 2, 1)
    assert stage.count("write_failures_total", treatment="retry", word="serialization") == 1
    assert stage.count("write_failures_total", treatment="bisect", word="check_violation") == 3


async def test_stale_rows_are_counted_as_such() -> None:
    """A row that was older than what the index had is success, not news."""
    stage = Stage()
    async with stage.running():
        await stage.inbox.send(batch(delivery(object_event("a", sequencer="2"))))
        await settle()
        await stage.inbox.send(batch(delivery(object_event("a", sequencer="1")), put("b")))
    assert (stage.count("rows_applied_total"), stage.count("rows_stale_total")) == (2, 1)
