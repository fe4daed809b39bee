"""Acknowledge: released and expired messages."""

from __future__ import annotations

from collections import Counter

import pytest

from subscriber.model import Verdict
from tests.fakes.queues import Call, FailEntries
from tests.fakes.samples import receipt
from tests.pipeline.test_acknowledge import Setup, handles


async def test_released_messages_become_visible_and_expired_ones_get_no_call() -> None:
    """Both are settled; neither is deleted or delayed."""
    setup = Setup()
    released, expired = [receipt("released") for _ in range(12)], [receipt("expired") for _ in range(3)]
    await setup.acknowledge(*expired, *released)
    assert [handle for call in setup.queues.releases for handle in call] == list(handles(released))
    assert setup.queues.visibility_changes == []
    assert setup.leases.settled == Counter(handles([*released, *expired]))
    assert (setup.counts(), setup.queues.deleted) == ((0, 0, 0), [])
    assert setup.requests("release") == 2
    value = setup.metrics.registry.get_sample_value
    assert value("subscriber_released_messages_total", {"queue": "events"}) == 12


@pytest.mark.parametrize("verdict", ["released", "retry_later"])
async def test_a_message_whose_handle_is_over_is_not_retried(verdict: Verdict) -> None:
    """The extender was faster, or an answer was lost: it counts neither as done by this call nor as unsettled."""
    setup = Setup()
    call: Call = "release" if verdict == "released" else "change_visibility"
    setup.queues.script(call, FailEntries({1: "MessageNotInflight"}))
    receipts = [receipt(verdict) for _ in range(3)]
    await setup.acknowledge(*receipts)
    assert len(setup.queues.releases) + len(setup.queues.visibility_changes) == 1
    assert setup.leases.settled == Counter(handles(receipts))
    value, name = setup.metrics.registry.get_sample_value, "released" if verdict == "released" else "retry_delayed"
    assert value(f"subscriber_{name}_messages_total", {"queue": "events"}) == 2
    assert value("subscriber_unsettled_messages_total", {"queue": "events"}) == 0
