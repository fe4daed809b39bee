"""Write when the database fails: retried at once, after an outage, or released with its leases."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import Treatment
from subscriber.model import Delivery
from subscriber.pipeline.retrying_store import CONFLICT_ATTEMPTS_AT_MOST
from tests.fakes.samples import REJECTION, bad_event, batch, delivery, failing, object_event, put
from tests.fakes.store import Fail, FailAfterDoing, Fault, Hold, order_of, version_of
from tests.fakes.virtual_time import VirtualTimeLoop, settle
from tests.pipeline.writer import HOLD_SECONDS, Setup

STORED = ("stored", "")


async def test_a_transient_conflict_is_retried_and_opens_no_circuit() -> None:
    """A serialization failure says nothing about the health of the database."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.RETRY))] * 5)
    assert await setup.write(put("a")) == [STORED]
    assert setup.reported == [1]


async def test_repeated_conflicts_open_the_circuit() -> None:
    """After twenty attempts polling pauses until the write succeeds; the batch is kept."""
    setup = Setup()
    hold = Hold()
    setup.store.script(*[Fail(failing(Treatment.RETRY))] * CONFLICT_ATTEMPTS_AT_MOST, hold)
    async with setup.running():
        await setup.inbox.send(batch(put("a")))
        await hold.reached.wait()
        assert setup.breaker_state() == (True, True)
        hold.release()
    assert [one.verdict for one in setup.receipts()] == ["stored"]
    assert setup.breaker_state() == (False, False)


@pytest.mark.parametrize("treatment", [Treatment.RECONNECT, Treatment.BACK_OFF, Treatment.CREDENTIALS, Treatment.STOP])
@pytest.mark.parametrize("call", ["store", "quarantine"])
async def test_a_failure_of_the_database_opens_the_circuit_and_a_success_closes_it(
    treatment: Treatment, call: str
) -> None:
    """Polling pauses until a write has succeeded; then the batch is stored as usual."""
    setup = Setup()
    hold = Hold()
    setup.store.script(Fail(failing(treatment)), hold, call="store" if call == "store" else "quarantine")
    events = (object_event("a"),) if call == "store" else ()  # a row that is taken would end it
    async with setup.running():
        await setup.inbox.send(batch(delivery(*events, rejection=REJECTION)))
        await hold.reached.wait()
        assert setup.breaker_state() == (True, True)
        hold.release()
    assert setup.breaker_state() == (False, False)
    assert setup.reported == [1, 0, 1]
    assert [one.verdict for one in setup.receipts()] == ["quarantined"]
    assert setup.keys() == {event.key for event in events}


async def test_writes_wait_while_the_circuit_is_open() -> None:
    """One probe pings; no batch is tried before a ping succeeds."""
    setup = Setup()
    setup.store.script(Fail(failing(Treatment.RECONNECT)))
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 16, call="ping")
    async with setup.running():
        await setup.inbox.send(batch(put("a")))
        await asyncio.sleep(1)
        await setup.inbox.send(batch(put("b")))
        await asyncio.sleep(10)
        assert len(setup.store.stored) == 1
        assert setup.limiter.at_work == 0
    assert setup.keys() == {"a", "b"}
    assert len(setup.store.stored) == 3


async def test_a_batch_survives_an_outage_of_many_minutes() -> None:
    """It waits as long as its messages are ours, then one statement stores it whole."""
    setup = Setup()
    setup.store.script(Fail(failing(Treatment.RECONNECT)))
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 400, call="ping")
    begun = asyncio.get_running_loop().time()
    assert await setup.write(*(put(str(number)) for number in range(50))) == [STORED] * 50
    assert asyncio.get_running_loop().time() - begun > 400
    assert len(setup.store.stored) == 2


@pytest.mark.parametrize("how", ["hanging", "unavailable"])
async def test_a_batch_ends_when_its_messages_are_released(how: str) -> None:
    """After a statement that hangs, or in an outage: nothing waits for messages that are released."""
    setup = Setup()
    if how == "hanging":
        setup.store.script(Hold())
    else:
        setup.store.script(Fail(failing(Treatment.RECONNECT)))
        setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 1000, call="ping")
    begun = asyncio.get_running_loop().time()
    assert await setup.write(*setup.hold(put("a"), delivery())) == [("released", "")] * 2
    assert asyncio.get_running_loop().time() == begun + HOLD_SECONDS
    assert (setup.keys(), setup.limiter.at_work) == (set(), 0)


async def test_committed_messages_of_a_batch_that_is_given_up_have_their_receipts() -> None:
    """During a bisection one half was stored: only the other is released."""
    setup = Setup()
    setup.store.script(None, None, None, Hold())
    verdicts = await setup.write(*setup.hold(put("a"), put("b"), delivery(bad_event("bad")), put("c")))
    stored = {key for key, verdict in zip(["a", "b", "bad", "c"], verdicts, strict=True) if verdict == STORED}
    assert stored == setup.keys() != set()
    assert verdicts.count(("released", "")) == 4 - len(stored)


async def test_a_message_that_expires_meanwhile_is_not_written() -> None:
    """No write begins with it, the other messages are stored, and no call is made for it."""
    setup = Setup()
    hold = Hold()
    setup.store.script(Fail(failing(Treatment.RECONNECT)))
    setup.store.script(hold, call="ping")
    kept, expired = put("kept"), put("expired")
    async with setup.running():
        await setup.inbox.send(batch(kept, expired))
        await hold.reached.wait()
        expired.message.lease.expired.add(expired.message.receipt_handle)
        hold.release()
    assert [one.verdict for one in setup.receipts()] == ["stored", "expired"]
    assert setup.keys() == {"kept"}


async def test_a_stopping_pipeline_does_not_wait_for_the_database() -> None:
    """Waiting messages are released at once; a statement that is under way may finish."""
    setup = Setup()
    hold = Hold()
    setup.store.script(hold)
    setup.store.script(*[Fail(failing(Treatment.RECONNECT))] * 1000, call="ping")
    async with setup.running():
        await setup.inbox.send(batch(put("a")))
        await hold.reached.wait()
        setup.breaker.record_failure(failing(Treatment.RECONNECT))
        await setup.inbox.send(batch(put("b")))
        await settle()
        begun = asyncio.get_running_loop().time()
        setup.breaker.stop()
        hold.release()
    assert asyncio.get_running_loop().time() - begun < 1
    assert sorted(one.verdict for one in setup.receipts()) == ["released", "stored"]


async def test_a_batch_that_is_given_up_does_not_keep_the_circuit_open() -> None:
    """The ping succeeds, the write hangs until its deadline: afterwards polling resumes."""
    setup = Setup()
    setup.store.script(Fail(failing(Treatment.RECONNECT)), Hold())
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("a"))))
        await asyncio.sleep(HOLD_SECONDS + 60)
        assert [one.verdict for one in setup.receipts()] == ["released"]
        assert setup.breaker_state() == (False, False)
        assert setup.leases.is_on_probation


async def test_a_message_quarantined_for_its_row_is_not_quarantined_again() -> None:
    """Decode rejected a part of the body, and another part holds a bad row: it is quarantined once."""
    setup = Setup(limit=2)
    for fault in (Fail(failing(Treatment.BACK_OFF)), None, Fail(failing(Treatment.BACK_OFF))):
        setup.store.script(fault, call="quarantine")
    partly_read = delivery(bad_event("a"), object_event("b"), rejection=REJECTION)
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(partly_read)))
        await asyncio.sleep(60)
        assert [one.verdict for one in setup.receipts()] == ["quarantined"]
        assert setup.breaker_state() == (False, False)


FAULTS = st.one_of(
    st.none(),
    st.sampled_from(list(Treatment)).map(lambda treatment: Fail(failing(treatment))),
    st.sampled_from([Treatment.RECONNECT, Treatment.BACK_OFF]).map(lambda one: FailAfterDoing(failing(one))),
    st.just("held"),
)
MEANINGS = st.tuples(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123"), st.booleans()), max_size=3),
    st.booleans(),
)


def meant(meaning: tuple[list[tuple[str, str, bool]], bool]) -> Delivery:
    """A delivery of some good and bad events, rejected or not."""
    events = [
        (object_event if is_good else bad_event)(key, sequencer=sequencer) for key, sequencer, is_good in meaning[0]
    ]
    return delivery(*events, rejection=REJECTION if meaning[1] else None)


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
    """Stored means in the index, quarantined in the quarantine; every permit is released, the circuit is closed."""

    async def scenario() -> None:
        setup = Setup(limit=2)
        for fault in store:
            setup.store.script(Hold() if isinstance(fault, str) else fault)
        for fault in quarantine:
            setup.store.script(Hold() if isinstance(fault, str) else fault, call="quarantine")
        for fault in ping:
            setup.store.script(None if isinstance(fault, str) else fault, call="ping")
        written = [batch(*setup.hold(*(meant(meaning) for meaning in meanings))) for meanings in batches]
        async with setup.running():
            for part in written:
                await setup.inbox.send(part)
            await asyncio.sleep(1000)
            assert setup.breaker_state() == (False, False)
        deliveries = {one.message.message_id: one for part in written for one in part.deliveries}
        receipts = setup.receipts()
        assert sorted(one.message.message_id for one in receipts) == sorted(deliveries)
        for one in receipts:
            assert_true(setup, one.verdict, deliveries[one.message.message_id])
        assert setup.limiter.at_work == 0

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def assert_true(setup: Setup, verdict: str, meant_by: Delivery) -> None:
    """The verdict says what has happened."""
    in_quarantine = (meant_by.message.queue, meant_by.message.message_id) in setup.store.quarantined
    if verdict == "quarantined":
        assert in_quarantine
    if verdict == "stored":
        assert meant_by.rejection is None
        for event in meant_by.events:
            assert order_of(setup.store.rows[version_of(event)]) >= order_of(event)
