"""Write, with a single place or a single message: who waits for proof keeps nobody from bringing it."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import Treatment
from tests.fakes.samples import REFUSAL, batch, delivery, failing, put
from tests.fakes.store import Refuse
from tests.pipeline.test_write_poison import STORED, Picky
from tests.pipeline.writer import HOLD_SECONDS, Stage

LIMITS = [4.0, 1.0, 0.05]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("treatment", "verdict"), [(Treatment.MAYBE_ROW, "quarantined"), (Treatment.BACK_OFF, "retry_later")]
)
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
    assert stage.seen_breaker() == (False, False)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_body_that_waits_for_the_quarantine_leaves_its_place_to_rows(limit: float) -> None:
    """The quarantine alone refuses: rows that come later are stored, and the body is hidden for a while."""
    stage = Stage(limit=limit)
    stage.store.script(*[Refuse(failing(Treatment.STOP))] * 1000, call="quarantine")
    async with stage.running():
        await stage.inbox.send(batch(*stage.hold(delivery(rejection=REFUSAL))))
        await asyncio.sleep(5)
        await stage.inbox.send(batch(*stage.hold(put("a"))))
        await asyncio.sleep(HOLD_SECONDS / 2)
        assert sorted((one.verdict, one.reason) for one in stage.receipts()) == [("retry_later", "stop"), STORED]
