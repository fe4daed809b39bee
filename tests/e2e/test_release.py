"""The hand-back at a hard stop: one call that fails takes none of the others with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.release import release
from subscriber.errors import QueueCallError
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from tests.fakes.samples import QUEUE, message

POLLS = 5


class FailsOnce:
    """Queues that refuse the second call."""

    def __init__(self) -> None:
        self.calls = 0
        self.released: list[str] = []

    async def release(self, queue: str, handles: Sequence[str]) -> int:
        """All of them, but for the second call."""
        self.calls += 1
        if self.calls == 2:
            raise QueueCallError("ServiceUnavailable", "busy")
        self.released += handles
        return len(handles)


async def test_one_failed_call_takes_no_other_with_it() -> None:
    """Of five polls' messages, those of four are visible again."""
    leases = VisibilityLeases((QUEUE,), InFlightLimits(messages=1_000, bytes=10**9), 30)
    for _ in range(POLLS):
        lease = await leases.open(QUEUE)
        leases.fill(lease, [message(under=lease) for _ in range(10)])
    queues = FailsOnce()
    await release(cast("Sqs", queues), list(leases.outstanding()), 5.0)
    assert queues.calls == POLLS
    assert len(set(queues.released)) == (POLLS - 1) * 10
