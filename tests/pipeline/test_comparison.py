"""Comparisons: made where no other message brings evidence, for few suspects, and never in an operator's pause."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import Treatment
from subscriber.pipeline.comparison import COMPARISON_PREFIX, comparison_row
from tests.fakes.samples import REJECTION, batch, delivery, failing, object_event, put
from tests.fakes.store import Fail
from tests.pipeline.test_write_poison import FailsForKeys
from tests.pipeline.writer import Setup


@pytest.mark.parametrize("row", [object_event("a"), None])
def test_our_row_says_nothing_about_an_object(row: object) -> None:
    """Its key is ours and new each time; bucket and time are the suspect's."""
    made = [comparison_row(row) for _ in range(2)]  # type: ignore[arg-type]  # None or an event
    assert all(one.key.startswith(COMPARISON_PREFIX) for one in made)
    assert made[0].key != made[1].key
    if row is not None:
        assert made[0].bucket == object_event("a").bucket


async def test_a_message_that_fails_in_a_quiet_night_is_compared() -> None:
    """Our row is written and rolled back; the index holds nothing of it."""
    setup = Setup(store=FailsForKeys(Treatment.MAYBE_ROW, "bad"))
    assert await setup.write(put("bad")) == [("quarantined", "maybe_row")]
    assert len(setup.store.rehearsed) >= 1
    assert setup.keys() == set()


async def test_where_others_are_stored_nothing_is_compared() -> None:
    """They are the evidence."""
    setup = Setup(store=FailsForKeys(Treatment.MAYBE_ROW, "bad"))
    await setup.write(put("bad"), *(put(str(number)) for number in range(9)))
    assert setup.store.rehearsed == []


async def test_of_many_that_fail_none_is_compared() -> None:
    """A trigger may fail for all real rows and accept ours."""
    setup = Setup(store=FailsForKeys(Treatment.MAYBE_ROW, *"abc"))
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(*(put(key) for key in "abc"))))
        await asyncio.sleep(60)
        assert setup.store.rehearsed == []
        assert setup.reasons() == {}


async def test_in_a_pause_nothing_is_compared() -> None:
    """An operator asked for no writes."""
    setup = Setup(store=FailsForKeys(Treatment.MAYBE_ROW, "bad"))
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("bad"))))
        await asyncio.sleep(0.1)
        setup.limiter.pause()
        await asyncio.sleep(60)
        assert setup.store.rehearsed == []
        setup.limiter.resume()
        await asyncio.sleep(20)
    assert [one.verdict for one in setup.receipts()] == ["quarantined"]


async def test_a_quarantine_that_fails_in_a_quiet_night_delays_its_message() -> None:
    """Our row shows that the index works: the body comes again later, and the circuit stays closed."""
    setup = Setup()
    setup.store.script(*[Fail(failing(Treatment.STOP))] * 100, call="quarantine")
    assert await setup.write(delivery(rejection=REJECTION)) == [("retry_later", "stop")]
    assert not setup.breaker.is_unavailable
