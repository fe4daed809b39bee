"""Write when the database fails: retried at once, after an outage, or released with its leases."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.errors import StoreError, Treatment
from subscriber.flow.breaker import OPEN_AFTER_SECONDS, PROBE_BACKOFF
from subscriber.model import Delivery, Message, ObjectEvent, Rejection
from tests.fakes.samples import REJECTION, bad_event, batch, delivery, failing, object_event, put
from tests.fakes.store import Fail, FailAfterDoing, FakeStore, Fault, Hold, order_of, version_of
from tests.fakes.virtual_time import VirtualTimeLoop, settle
from tests.pipeline.writer import HOLD_SECONDS, Setup

STORED = ("stored", "")


class Unavailable(FakeStore):
    """Every write fails while `error` is set, and every ping while `answers_pings` is not."""

    def __init__(self, treatment: Treatment, *, answers_pings: bool = True) -> None:
        super().__init__()
        self.error: StoreError | None = failing(treatment)
        self.answers_pings = answers_pings
        self.attempts = 0
        """Writes of rows that failed."""

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert, unless unavailable."""
        if self.error is not None:
            self.attempts += 1
            raise self.error
        return await super().store(rows, limit_seconds)

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Store bodies, unless unavailable."""
        if self.error is not None:
            raise self.error
        await super().quarantine(entries)

    async def ping(self) -> None:
        """Answer, or not."""
        if self.error is not None and not self.answers_pings:
            raise self.error


async def test_a_transient_conflict_is_retried_and_opens_no_circuit() -> None:
    """A serialization failure says nothing about the health of the database."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.RETRY))] * 2)
    assert await setup.write(put("a")) == [STORED]
    assert setup.reported == [1]


@pytest.mark.parametrize(
    "treatment",
    [Treatment.RETRY, Treatment.RECONNECT, Treatment.BACK_OFF, Treatment.CREDENTIALS, Treatment.STOP],
)
@pytest.mark.parametrize("has_row", [True, False])
async def test_when_nothing_succeeds_the_circuit_opens_and_a_success_closes_it(
    treatment: Treatment, has_row: bool
) -> None:
    """Polling pauses until a write has succeeded; then the batch is stored as usual."""
    store = Unavailable(treatment)
    setup = Setup(store=store)
    events = (object_event("a"),) if has_row else ()
    async with setup.running():
        await setup.inbox.send(batch(delivery(*events, rejection=REJECTION)))
        await asyncio.sleep(OPEN_AFTER_SECONDS + 0.1)
        assert setup.breaker_state() == (True, True)
        store.error = None
    assert setup.breaker_state() == (False, False)
    assert setup.reported == [1, 0, 1]
    assert [one.verdict for one in setup.receipts()] == ["quarantined"]
    assert setup.keys() == {event.key for event in events}


async def test_writes_wait_while_the_circuit_is_open() -> None:
    """One probe pings; no batch is tried before a ping succeeds."""
    store = Unavailable(Treatment.RECONNECT, answers_pings=False)
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(put("a")))
        await asyncio.sleep(OPEN_AFTER_SECONDS)
        attempts = store.attempts
        await setup.inbox.send(batch(put("b")))
        await asyncio.sleep(10)
        assert store.attempts == attempts
        assert setup.limiter.at_work == 0
        store.error = None
    assert setup.keys() == {"a", "b"}
    assert len(store.stored) == 2


async def test_a_batch_survives_an_outage_of_many_minutes() -> None:
    """It waits as long as its messages are ours, then one statement stores it whole."""
    store = Unavailable(Treatment.RECONNECT, answers_pings=False)
    setup = Setup(store=store)
    async with setup.running():
        await setup.inbox.send(batch(*(put(str(number)) for number in range(50))))
        await asyncio.sleep(400)
        store.error = None
        await asyncio.sleep(5)
        assert [one.verdict for one in setup.receipts()] == ["stored"] * 50
    assert len(store.stored) == 1


@pytest.mark.parametrize("how", ["hanging", "unavailable"])
async def test_a_batch_ends_when_its_messages_are_released(how: str) -> None:
    """After a statement that hangs, or in an outage: nothing waits for messages that are released."""
    setup = Setup(store=Unavailable(Treatment.RECONNECT, answers_pings=False) if how == "unavailable" else None)
    setup.store.script(Hold())
    begun = asyncio.get_running_loop().time()
    assert await setup.write(*setup.hold(put("a"), delivery())) == [("released", "")] * 2
    assert asyncio.get_running_loop().time() == begun + HOLD_SECONDS
    assert (setup.keys(), setup.limiter.at_work) == (set(), 0)


async def test_committed_messages_of_a_batch_that_is_given_up_have_their_receipts() -> None:
    """During a bisection one half was stored, and the other has a limit: only what is unfinished is released."""
    setup = Setup(statement_seconds=math.inf)
    setup.store.script(None, None, Hold())
    verdicts = await setup.write(*setup.hold(put("a"), put("b"), delivery(bad_event("bad")), put("c")))
    assert verdicts == [STORED, STORED, ("released", ""), ("released", "")]
    assert setup.keys() == {"a", "b"}


async def test_a_message_that_expires_meanwhile_is_not_written() -> None:
    """No write begins with it, the other messages are stored, and no call is made for it."""
    store = Unavailable(Treatment.RECONNECT)
    setup = Setup(store=store)
    kept, expired = put("kept"), put("expired")
    async with setup.running():
        await setup.inbox.send(batch(kept, expired))
        await asyncio.sleep(OPEN_AFTER_SECONDS)
        expired.message.lease.expired.add(expired.message.receipt_handle)
        store.error = None
    verdicts = {one.message.message_id: one.verdict for one in setup.receipts()}
    assert verdicts == {kept.message.message_id: "stored", expired.message.message_id: "expired"}
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
        await asyncio.sleep(OPEN_AFTER_SECONDS)
        await setup.inbox.send(batch(put("b")))
        await settle()
        begun = asyncio.get_running_loop().time()
        setup.breaker.stop()
        hold.release()
    assert asyncio.get_running_loop().time() - begun < 1
    assert sorted(one.verdict for one in setup.receipts()) == ["released", "stored"]


async def test_a_batch_that_is_given_up_does_not_keep_the_circuit_open() -> None:
    """The ping succeeds, every write fails until the deadline: afterwards polling resumes on probation."""
    setup = Setup(store=Unavailable(Treatment.STOP))
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(*(put(str(number)) for number in range(9)))))
        await asyncio.sleep(HOLD_SECONDS + PROBE_BACKOFF.max_seconds)
        assert [one.verdict for one in setup.receipts()] == ["released"] * 9
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
