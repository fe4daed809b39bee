"""Acknowledge: what it does with messages that were not written through no fault of their own."""

from __future__ import annotations

from collections import Counter

import pytest

from subscriber.model import Verdict
from tests.fakes.queues import FailEntries
from tests.fakes.samples import receipt
from tests.pipeline.test_acknowledge import Stage, handles


async def test_what_is_returned_is_visible_at_once_and_of_what_is_lost_nothing_is_said() -> None:
    """Both leave the book; neither is deleted or hidden."""
    stage = Stage()
    returned, lost = [receipt("released") for _ in range(12)], [receipt("expired") for _ in range(3)]
    await stage.tell(*lost, *returned)
    asked = [entry for call in stage.queues.visibility_changes for entry in call]
    assert asked == [(handle, 0) for handle in handles(returned)]
    assert stage.book.settled == Counter(handles([*returned, *lost]))
    assert (stage.counts(), stage.queues.deleted) == ((0, 0, 0), [])
    assert stage.requests("release") == 2
    value = stage.metrics.registry.get_sample_value
    assert value("subscriber_released_messages_total", {"queue": "events"}) == 12


@pytest.mark.parametrize("verdict", ["released", "retry_later"])
async def test_what_is_in_other_hands_already_is_not_asked_for_again(verdict: Verdict) -> None:
    """The lease keeper was faster, or an answer was lost: that is neither done by this call nor left undone."""
    stage = Stage()
    stage.queues.script("change_visibility", FailEntries({1: "MessageNotInflight"}))
    told = [receipt(verdict) for _ in range(3)]
    await stage.tell(*told)
    assert len(stage.queues.visibility_changes) == 1
    assert stage.book.settled == Counter(handles(told))
    value, name = stage.metrics.registry.get_sample_value, "released" if verdict == "released" else "retry_delayed"
    assert value(f"subscriber_{name}_messages_total", {"queue": "events"}) == 2
    assert value("subscriber_unsettled_messages_total", {"queue": "events"}) == 0
