"""Write with one permit or one message: a message that waits for evidence does not block the writes that provide it."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import Treatment
from tests.fakes.samples import REJECTION, batch, delivery, failing, put
from tests.fakes.store import Fail
from tests.pipeline.test_write_poison import STORED, FailsForKeys
from tests.pipeline.writer import HOLD_SECONDS, Setup

LIMITS = [4.0, 1.0, 0.05]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("treatment", "verdict"), [(Treatment.MAYBE_ROW, "quarantined"), (Treatment.BACK_OFF, "retry_later")]
)
async def test_a_message_that_waits_for_evidence_releases_its_permit(
    limit: float, treatment: Treatment, verdict: str
) -> None:
    """A poison message arrives alone; later healthy ones are stored within a minute, which proves it poison."""
    setup = Setup(limit=limit, store=FailsForKeys(treatment, "bad"))
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(put("bad"))))
        await asyncio.sleep(5)
        await setup.inbox.send(batch(*setup.hold(*(put(str(number)) for number in range(5)))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted((one.verdict, one.reason) for one in setup.receipts()) == sorted(
            [(verdict, treatment.value), *[STORED] * 5]
        )
    assert setup.breaker_state() == (False, False)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_body_that_waits_for_the_quarantine_releases_its_permit(limit: float) -> None:
    """Only the quarantine fails: later rows are stored, and the body gets a retry delay."""
    setup = Setup(limit=limit)
    setup.store.script(*[Fail(failing(Treatment.STOP))] * 1000, call="quarantine")
    async with setup.running():
        await setup.inbox.send(batch(*setup.hold(delivery(rejection=REJECTION))))
        await asyncio.sleep(5)
        await setup.inbox.send(batch(*setup.hold(put("a"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted((one.verdict, one.reason) for one in setup.receipts()) == [("retry_later", "stop"), STORED]
