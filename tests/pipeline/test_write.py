"""Write: no receipt before its commit, and poison messages are isolated without harm to others."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import Treatment
from tests.fakes.samples import REJECTION, bad_event, batch, delivery, object_event, put
from tests.fakes.store import Fail, FailAfterDoing, Hold, store_error
from tests.fakes.virtual_time import settle
from tests.pipeline.writer import HOLD_SECONDS, Setup

STORED = ("stored", "")
UNSTORABLE = ("quarantined", "check_violation")
REJECTED = ("quarantined", REJECTION.reason)
FAILED = ("retry_later", "unstorable_value")
BISECT = Fail(store_error(Treatment.BISECT, "22000"))


async def test_no_receipt_before_the_commit() -> None:
    """No receipt is sent while the statement is under way."""
    setup = Setup()
    hold = Hold()
    setup.store.script(hold)
    async with setup.running():
        await setup.inbox.send(batch(put("a"), put("b")))
        await hold.reached.wait()
        await asyncio.sleep(60)
        assert (setup.receipts(), setup.keys()) == ([], set())
        hold.release()
        await settle()
        assert [one.verdict for one in setup.receipts()] == ["stored", "stored"]
    assert setup.keys() == {"a", "b"}
    assert setup.outbox.is_ended


async def test_no_receipt_before_the_quarantine_has_committed() -> None:
    """The same for bodies: the queue keeps them until the quarantine has them."""
    setup = Setup()
    hold = Hold()
    setup.store.script(hold, call="quarantine")
    async with setup.running():
        await setup.inbox.send(batch(put("a"), delivery(rejection=REJECTION)))
        await hold.reached.wait()
        await settle()
        assert (setup.receipts(), setup.reasons()) == ([], {})
        hold.release()
        await settle()
        assert [one.verdict for one in setup.receipts()] == ["stored", "quarantined"]


@pytest.mark.parametrize("position", [0, 499, 500, 999])
async def test_one_bad_row_among_a_thousand_is_isolated(position: int) -> None:
    """Bisection: its message alone is quarantined with the word of the failure, all others are stored."""
    setup = Setup()
    deliveries = [put(f"{number:04}") for number in range(1000)]
    deliveries[position] = delivery(bad_event())
    verdicts = await setup.write(*deliveries)
    assert verdicts == [UNSTORABLE if number == position else STORED for number in range(1000)]
    assert setup.reasons() == {deliveries[position].message.message_id: "check_violation"}
    assert len(setup.keys()) == 999
    assert len(setup.store.stored) <= 1 + 2 * 10
    assert setup.count("rows_applied_total") == 999


async def test_every_row_may_be_bad() -> None:
    """Every message is quarantined, none is stored, and the bisection ends."""
    setup = Setup()
    assert await setup.write(*[delivery(bad_event(str(number))) for number in range(33)]) == [UNSTORABLE] * 33
    assert (len(setup.reasons()), setup.keys()) == (33, set())


async def test_good_rows_of_a_bad_message_are_stored() -> None:
    """The whole body goes to the quarantine, its good rows to the index."""
    setup = Setup()
    mixed = delivery(object_event("a"), bad_event(), object_event("b"))
    assert await setup.write(put("before"), mixed, put("after")) == [STORED, UNSTORABLE, STORED]
    assert setup.keys() == {"before", "a", "b", "after"}


@pytest.mark.parametrize("together", [True, False])
async def test_without_a_bad_newest_row_the_good_older_one_is_stored(together: bool) -> None:
    """The rest is folded again, within one message as across two: batching changes nothing."""
    older, newest = object_event("a", sequencer="1"), bad_event("a", sequencer="2")
    setup = Setup()
    deliveries = [delivery(older, newest)] if together else [delivery(older), delivery(newest)]
    assert (await setup.write(*deliveries))[-1] == UNSTORABLE
    assert list(setup.store.rows.values()) == [older]


async def test_a_rejected_body_is_quarantined_and_its_good_rows_stored() -> None:
    """With its own reason in the quarantine and in the receipt."""
    setup = Setup()
    rejected = delivery(object_event("a"), rejection=REJECTION)
    assert await setup.write(rejected, delivery(rejection=REJECTION), delivery()) == [REJECTED, REJECTED, STORED]
    assert setup.keys() == {"a"}
    assert len(setup.reasons()) == 2
    assert setup.count("quarantined_messages_total", reason=REJECTION.reason) == 2


async def test_a_rejected_body_with_a_bad_row_is_counted_once() -> None:
    """It is one message in the quarantine, with the first reason."""
    setup = Setup()
    rejected = delivery(object_event("a"), bad_event(), rejection=REJECTION)
    assert await setup.write(rejected) == [REJECTED]
    assert setup.keys() == {"a"}
    assert setup.count("quarantined_messages_total", reason=REJECTION.reason) == 1


async def test_a_body_that_the_quarantine_cannot_store_stays_in_the_queue() -> None:
    """Its good rows are stored and the other messages acknowledged; it is not, so that nothing is lost."""
    setup = Setup()
    setup.store.script(BISECT, call="quarantine")
    mixed = delivery(object_event("a"), bad_event())
    assert await setup.write(put("before"), mixed, put("after")) == [STORED, FAILED, STORED]
    assert setup.keys() == {"before", "a", "after"}
    assert setup.reasons() == {}


async def test_of_several_rejected_bodies_only_an_unstorable_one_stays_in_the_queue() -> None:
    """The others are quarantined one by one."""
    setup = Setup()
    setup.store.script(BISECT, None, BISECT, None, call="quarantine")
    rejected = [delivery(rejection=REJECTION) for _ in range(3)]
    assert await setup.write(*rejected) == [REJECTED, FAILED, REJECTED]
    assert set(setup.reasons()) == {rejected[0].message.message_id, rejected[2].message.message_id}


async def test_an_unknown_outcome_counts_as_not_done() -> None:
    """Rows that were committed before the connection broke are written again; the index is the same."""
    unknown_outcome = FailAfterDoing(store_error(Treatment.RECONNECT, "08006"))
    setup, calm = Setup(), Setup()
    setup.store.script(unknown_outcome, None, unknown_outcome)
    setup.store.script(unknown_outcome, call="quarantine")
    deliveries = [put("a"), delivery(bad_event()), delivery(rejection=REJECTION), put("b")]
    assert await setup.write(*deliveries) == await calm.write(*deliveries)
    assert setup.store.rows == calm.store.rows
    assert setup.store.quarantined == calm.store.quarantined


async def test_writes_are_bounded_by_the_limiter() -> None:
    """As many at once as it has permits, and every permit is released."""
    setup = Setup(limit=3)
    async with setup.running():
        for number in range(20):
            await setup.inbox.send(batch(put(str(number))))
    assert setup.store.active_most == 3
    assert setup.limiter.at_work == 0
    assert len(setup.receipts()) == 20


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_permit_cools_down_after_success_only(succeeds: bool) -> None:
    """A failed write backs off itself; a cool-down as well would delay the recovery."""
    setup = Setup(limit=0.1)
    hold = Hold()
    setup.store.script(hold)
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("a"))))
        await asyncio.sleep(1)
        if succeeds:
            hold.release()
        else:
            await asyncio.sleep(HOLD_SECONDS - 1)
        await settle()
        assert [one.verdict for one in setup.receipts()] == ["stored" if succeeds else "released"]
        assert setup.limiter.has_capacity != succeeds


async def test_a_cancelled_write_sends_no_receipt_and_releases_its_permit() -> None:
    """After a hard stop the messages are outstanding and are released."""
    setup = Setup()
    hold = Hold()
    setup.store.script(hold)
    task = asyncio.create_task(setup.writer.run(), name="write")
    await setup.inbox.send(batch(put("a")))
    await hold.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (setup.receipts(), setup.limiter.at_work) == ([], 0)


async def test_the_tally_counts_the_work_of_the_database() -> None:
    """Rows and statements that succeeded, and failures without a row as their cause."""
    setup = Setup()
    setup.store.script(Fail(store_error(Treatment.RETRY, "40001")))
    deliveries = [put("a"), put("b"), delivery(bad_event())]
    await setup.write(*deliveries)
    tally = setup.writer.tally
    assert (tally.rows, tally.statements, tally.failures) == (2, 2, 1)
    assert setup.count("write_failures_total", treatment="retry", word="serialization") == 1
    assert setup.count("write_failures_total", treatment="bisect", word="check_violation") == 3


async def test_stale_rows_are_counted() -> None:
    """Writing a row that is older than that of the index is a success without effect."""
    setup = Setup()
    async with setup.running():
        await setup.inbox.send(batch(delivery(object_event("a", sequencer="2"))))
        await settle()
        await setup.inbox.send(batch(delivery(object_event("a", sequencer="1")), put("b")))
    assert (setup.count("rows_applied_total"), setup.count("rows_stale_total")) == (2, 1)
