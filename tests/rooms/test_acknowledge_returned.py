"""Acknowledge: what it does with messages that were not written through no fault of their own."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.fakes.store import Hold
from tests.fakes.things import receipt
from tests.fakes.virtual_time import settle
from tests.rooms.test_acknowledge import Stage, handles


async def test_what_is_returned_is_visible_at_once_and_of_what_is_lost_nothing_is_said() -> None:
    """Both leave the book; neither is deleted or hidden."""
    stage = Stage()
    returned, lost = [receipt("returned") for _ in range(12)], [receipt("lost") for _ in range(3)]
    await stage.tell(*lost, *returned)
    asked = [entry for call in stage.queues.visibility_changes for entry in call]
    assert asked == [(handle, 0) for handle in handles(returned)]
    assert stage.book.settled == Counter(handles([*returned, *lost]))
    assert (stage.counts(), stage.queues.deleted) == ((0, 0, 0), [])
    assert stage.requests("hand_back") == 2
    value = stage.metrics.registry.get_sample_value
    assert value("subscriber_handed_back_messages_total", {"queue": "events"}) == 12


async def test_what_the_lease_keeper_hands_back_is_not_handed_back_twice() -> None:
    """It was held too long, for which its batch is given up at the same moment."""
    stage = Stage()
    returned = [receipt("returned") for _ in range(3)]
    for one in returned:
        one.message.lease.lost.add(one.message.receipt_handle)
    await stage.tell(*returned)
    assert stage.queues.visibility_changes == []
    assert stage.book.settled == Counter(handles(returned))
    assert stage.counts() == (0, 0, 0)


async def test_the_lease_keeper_leaves_alone_what_is_being_handed_back() -> None:
    """Until a hard stop, which hands back whatever it does not know to be done."""
    stage = Stage()
    hold = Hold()
    stage.queues.script("change_visibility", hold)
    room = asyncio.create_task(stage.acknowledger.run(), name="acknowledge")
    returned = receipt("returned")
    await stage.inbox.send((returned,))
    await hold.reached.wait()
    await settle()
    assert returned.message.lease.lost == {returned.message.receipt_handle}
    room.cancel()
    await asyncio.wait([room])
    assert returned.message.lease.lost == set()
