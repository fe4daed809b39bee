"""Write, when the database fails: again, after an outage, or not before its messages have to go back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import Treatment
from subscriber.model import Delivery
from subscriber.pipeline.attempts import ATTEMPTS_AT_MOST
from tests.fakes.samples import REFUSAL, bad_event, batch, delivery, failing, object_event, put
from tests.fakes.store import FailAfterDoing, Fault, Hold, Refuse, order_of, version_of
from tests.fakes.virtual_time import VirtualTimeLoop, settle
from tests.pipeline.writer import HOLD_SECONDS, Stage

STORED = ("stored", "")


async def test_bad_luck_is_tried_again_and_is_no_outage() -> None:
    """A lost serialization race says nothing about the database."""
    stage = Stage()
    stage.store.script(*[Refuse(failing(Treatment.RETRY))] * 5)
    assert await stage.write(put("a")) == [STORED]
    assert stage.reported == [1]


async def test_so_much_bad_luck_is_an_outage() -> None:
    """After twenty tries nothing more is received until the write has succeeded, and the batch is kept."""
    stage = Stage()
    hold = Hold()
    stage.store.script(*[Refuse(failing(Treatment.RETRY))] * ATTEMPTS_AT_MOST, hold)
    async with stage.running():
        await stage.inbox.send(batch(put("a")))
        await hold.reached.wait()
        assert stage.seen_breaker() == (True, True)
        hold.release()
    assert [one.verdict for one in stage.receipts()] == ["stored"]
    assert stage.seen_breaker() == (False, False)


@pytest.mark.parametrize("treatment", [Treatment.RECONNECT, Treatment.BACK_OFF, Treatment.CREDENTIALS, Treatment.STOP])
@pytest.mark.parametrize("call", ["store", "quarantine"])
async def test_the_databases_own_failures_begin_an_outage_and_success_ends_it(treatment: Treatment, call: str) -> None:
    """Nothing is taken in until a write has succeeded; then the batch is stored as if nothing had been."""
    stage = Stage()
    hold = Hold()
    stage.store.script(Refuse(failing(treatment)), hold, call="store" if call == "store" else "quarantine")
    events = (object_event("a"),) if call == "store" else ()  # a row that is taken would end it
    async with stage.running():
        await stage.inbox.send(batch(delivery(*events, rejection=REFUSAL)))
        await hold.reached.wait()
        assert stage.seen_breaker() == (True, True)
        hold.release()
    assert stage.seen_breaker() == (False, False)
    assert stage.reported == [1, 0, 1]
    assert [one.verdict for one in stage.receipts()] == ["quarantined"]
    assert stage.keys() == {event.key for event in events}


async def test_writers_wait_while_the_database_is_away() -> None:
    """One probe knocks; no batch is tried until it is answered."""
    stage = Stage()
    stage.store.script(Refuse(failing(Treatment.RECONNECT)))
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 16, call="ping")
    async with stage.running():
        await stage.inbox.send(batch(put("a")))
        await asyncio.sleep(1)
        await stage.inbox.send(batch(put("b")))
        await asyncio.sleep(10)
        assert len(stage.store.stored) == 1
        assert stage.limiter.at_work == 0
    assert stage.keys() == {"a", "b"}
    assert len(stage.store.stored) == 3


async def test_an_outage_of_many_minutes_costs_a_batch_nothing() -> None:
    """It waits as long as its messages are ours, then is stored whole by one statement."""
    stage = Stage()
    stage.store.script(Refuse(failing(Treatment.RECONNECT)))
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 400, call="ping")
    begun = asyncio.get_running_loop().time()
    assert await stage.write(*(put(str(number)) for number in range(50))) == [STORED] * 50
    assert asyncio.get_running_loop().time() - begun > 400
    assert len(stage.store.stored) == 2


@pytest.mark.parametrize("how", ["held", "away"])
async def test_when_its_messages_go_back_a_batch_ends(how: str) -> None:
    """A statement that hangs, or a database that stays away: nothing is waited for that is not ours any more."""
    stage = Stage()
    if how == "held":
        stage.store.script(Hold())
    else:
        stage.store.script(Refuse(failing(Treatment.RECONNECT)))
        stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 1000, call="ping")
    begun = asyncio.get_running_loop().time()
    assert await stage.write(*stage.hold(put("a"), delivery())) == [("released", "")] * 2
    assert asyncio.get_running_loop().time() == begun + HOLD_SECONDS
    assert (stage.keys(), stage.limiter.at_work) == (set(), 0)


async def test_what_is_committed_by_then_has_its_receipts() -> None:
    """While a bad row was being isolated one half was stored: only the rest goes back."""
    stage = Stage()
    stage.store.script(None, None, None, Hold())
    verdicts = await stage.write(*stage.hold(put("a"), put("b"), delivery(bad_event("bad")), put("c")))
    stored = {key for key, verdict in zip(["a", "b", "bad", "c"], verdicts, strict=True) if verdict == STORED}
    assert stored == stage.keys() != set()
    assert verdicts.count(("released", "")) == 4 - len(stored)


async def test_a_message_that_is_lost_meanwhile_is_not_written() -> None:
    """Nothing is begun with it any more, its neighbors are stored, and the queue is told nothing of it."""
    stage = Stage()
    hold = Hold()
    stage.store.script(Refuse(failing(Treatment.RECONNECT)))
    stage.store.script(hold, call="ping")
    kept, lost = put("kept"), put("lost")
    async with stage.running():
        await stage.inbox.send(batch(kept, lost))
        await hold.reached.wait()
        lost.message.lease.expired.add(lost.message.receipt_handle)
        hold.release()
    assert [one.verdict for one in stage.receipts()] == ["stored", "expired"]
    assert stage.keys() == {"kept"}


async def test_a_line_that_ends_in_an_outage_does_not_wait_for_the_database() -> None:
    """What waits for it goes back at once; a statement that is under way is waited for."""
    stage = Stage()
    hold = Hold()
    stage.store.script(hold)
    stage.store.script(*[Refuse(failing(Treatment.RECONNECT))] * 1000, call="ping")
    async with stage.running():
        await stage.inbox.send(batch(put("a")))
        await hold.reached.wait()
        stage.breaker.begin(failing(Treatment.RECONNECT))
        await stage.inbox.send(batch(put("b")))
        await settle()
        begun = asyncio.get_running_loop().time()
        stage.breaker.stop()
        hold.release()
    assert asyncio.get_running_loop().time() - begun < 1
    assert sorted(one.verdict for one in stage.receipts()) == ["released", "stored"]


async def test_a_writer_that_gives_up_in_an_outage_does_not_keep_it_going() -> None:
    """The ping is answered, the write hangs until its deadline: afterwards messages are received again."""
    stage = Stage()
    stage.store.script(Refuse(failing(Treatment.RECONNECT)), Hold())
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(put("a"))))
        await asyncio.sleep(HOLD_SECONDS + 60)
        assert [one.verdict for one in stage.receipts()] == ["released"]
        assert stage.seen_breaker() == (False, False)
        assert stage.intake.is_on_probation


async def test_what_was_quarantined_for_its_row_is_not_quarantined_again() -> None:
    """A body that decode refused in part and that holds a bad row: its turn after the rows has nothing left to do."""
    stage = Stage(limit=2)
    for fault in (Refuse(failing(Treatment.BACK_OFF)), None, Refuse(failing(Treatment.BACK_OFF))):
        stage.store.script(fault, call="quarantine")
    partly_read = delivery(bad_event("a"), object_event("b"), rejection=REFUSAL)
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(partly_read)))
        await asyncio.sleep(60)
        assert [one.verdict for one in stage.receipts()] == ["quarantined"]
        assert stage.seen_breaker() == (False, False)


FAULTS = st.one_of(
    st.none(),
    st.sampled_from(list(Treatment)).map(lambda treatment: Refuse(failing(treatment))),
    st.sampled_from([Treatment.RECONNECT, Treatment.BACK_OFF]).map(lambda one: FailAfterDoing(failing(one))),
    st.just("held"),
)
MEANINGS = st.tuples(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123"), st.booleans()), max_size=3),
    st.booleans(),
)


def meant(meaning: tuple[list[tuple[str, str, bool]], bool]) -> Delivery:
    """A delivery of some good and bad events, refused or not."""
    events = [
        (object_event if is_good else bad_event)(key, sequencer=sequencer) for key, sequencer, is_good in meaning[0]
    ]
    return delivery(*events, rejection=REFUSAL if meaning[1] else None)


@pytest.mark.usefixtures("untraced")
@settings(deadline=None, max_examples=150)
@given(
    batches=st.lists(st.lists(MEANINGS, min_size=1, max_size=6), min_size=1, max_size=3),
    store=st.lists(FAULTS, max_size=12),
    quarantine=st.lists(FAULTS, max_size=6),
    ping=st.lists(FAULTS, max_size=4),
)
def test_any_faults_end_in_exactly_one_true_receipt_for_each_message(
    batches: list[list[tuple[list[tuple[str, str, bool]], bool]]],
    store: list[Fault | str],
    quarantine: list[Fault | str],
    ping: list[Fault | str],
) -> None:
    """Stored means in the index, quarantined means in the quarantine; no place and no outage is left behind."""

    async def scene() -> None:
        stage = Stage(limit=2)
        for fault in store:
            stage.store.script(Hold() if isinstance(fault, str) else fault)
        for fault in quarantine:
            stage.store.script(Hold() if isinstance(fault, str) else fault, call="quarantine")
        for fault in ping:
            stage.store.script(None if isinstance(fault, str) else fault, call="ping")
        written = [batch(*stage.hold(*(meant(meaning) for meaning in meanings))) for meanings in batches]
        async with stage.running():
            for part in written:
                await stage.inbox.send(part)
            await asyncio.sleep(1000)
            assert stage.seen_breaker() == (False, False)
        deliveries = {one.message.message_id: one for part in written for one in part.deliveries}
        receipts = stage.receipts()
        assert sorted(one.message.message_id for one in receipts) == sorted(deliveries)
        for one in receipts:
            assert_true(stage, one.verdict, deliveries[one.message.message_id])
        assert stage.limiter.at_work == 0

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scene())


def assert_true(stage: Stage, verdict: str, meant_by: Delivery) -> None:
    """What the verdict says has happened."""
    in_quarantine = (meant_by.message.queue, meant_by.message.message_id) in stage.store.quarantined
    if verdict == "quarantined":
        assert in_quarantine
    if verdict == "stored":
        assert meant_by.rejection is None
        for event in meant_by.events:
            assert order_of(stage.store.rows[version_of(event)]) >= order_of(event)
