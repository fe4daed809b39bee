"""The messages of a generated backlog, decoded by the daemon, give the rows that the backlog expects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.baselines.index_rows import newest, rows_of
from subscriber.events.decode import decode
from subscriber.model import Delivery, Lease, Message, ObjectEvent
from testkit.workload.backlogs import BacklogLoad, backlog
from testkit.workload.mixed_backlog import BLOCK_MESSAGES


def delivered(load: BacklogLoad) -> list[Delivery]:
    """Every message of a backlog, as the daemon decodes it."""
    lease = Lease("queue", 0.0, set())
    taken = backlog(load.kind, load.messages, load.spacing).take(load.messages, 0.0)
    return [decode(Message("queue", str(i), "handle", body, 0.0, 1, lease)) for i, (body, _) in enumerate(taken)]


def winners(deliveries: list[Delivery]) -> list[ObjectEvent]:
    """The newest event of each version, in key order."""
    kept: dict[tuple[str, str, str], ObjectEvent] = {}
    for event in (event for delivery in deliveries for event in delivery.events):
        version = (event.bucket, event.key, event.version_id)
        if version not in kept or kept[version].sequencer < event.sequencer:
            kept[version] = event
    return [kept[version] for version in sorted(kept)]


LOADS = st.builds(
    BacklogLoad, st.sampled_from(["flood", "hot"]), st.integers(min_value=1, max_value=300), st.integers(1, 50)
) | st.builds(BacklogLoad, st.just("mixed"), st.just(BLOCK_MESSAGES))


@given(LOADS)
def test_the_expected_rows_are_the_newest_events(load: BacklogLoad) -> None:
    """The newest events of all messages are the expected rows in the same order; the other messages are undecodable."""
    deliveries = delivered(load)
    found = [
        (event.bucket, event.key, event.version_id, event.state, event.size_bytes, event.etag)
        for event in winners(deliveries)
    ]
    expected = [(row.bucket, row.key, row.version_id, row.state, row.size_bytes, row.etag) for row in load.versions()]
    assert found == expected
    assert sum(delivery.rejection is not None for delivery in deliveries) == load.quarantined


@pytest.mark.parametrize("kind", ["flood", "hot"])
def test_baselines_decode_as_the_daemon_does(kind: str) -> None:
    """The rows that the baselines make of native bodies are those of the daemon's decoder."""
    load = BacklogLoad("hot" if kind == "hot" else "flood", 250)
    rows = newest(row for index in range(load.messages) for row in rows_of(load.body(index)))
    theirs = [(row.key, row.state, row.sequencer, row.event_time, row.size_bytes, row.etag) for row in sorted(rows)]
    ours = [
        (event.key, event.state, event.sequencer, event.event_time, event.size_bytes, event.etag)
        for event in winners(delivered(load))
    ]
    assert theirs == ours


@pytest.mark.parametrize("kind", ["flood", "hot"])
def test_a_flat_body_is_the_row(kind: str) -> None:
    """A flat body has, column by column, the row of the native body with the same index."""
    native = BacklogLoad("hot" if kind == "hot" else "flood", 250, spacing=3)
    flat = msgspec.structs.replace(native, is_flat=True)
    taken = backlog(**msgspec.structs.asdict(flat)).take(250, 0.0)
    rows = [msgspec.convert(msgspec.json.decode(body), dict[str, Any]) for body, _ in taken]
    columns = [{**row, "event_time": datetime.fromisoformat(row["event_time"])} for row in rows]
    assert columns == [rows_of(native.body(index))[0]._asdict() for index in range(250)]


def test_only_rows_have_flat_bodies() -> None:
    """A mixed backlog has messages without a row, so it has no flat form."""
    with pytest.raises(ValueError, match="flat"):
        BacklogLoad("mixed", BLOCK_MESSAGES, is_flat=True)


def test_a_mixed_backlog_has_all_kinds_of_messages() -> None:
    """A block has deletes, versions, duplicates and every envelope, and only whole blocks are allowed."""
    load = BacklogLoad("mixed", BLOCK_MESSAGES)
    bodies = [load.body(index) for index in range(load.messages)]
    assert len(set(bodies)) < len(bodies)
    assert any('"Type":"Notification"' in body for body in bodies)
    assert any('"detail-type"' in body for body in bodies)
    rows = list(load.versions())
    assert {row.state for row in rows} == {"present", "delete_marker", "removed"}
    assert any(row.version_id for row in rows)
    with pytest.raises(ValueError, match="blocks"):
        list(BacklogLoad("mixed", BLOCK_MESSAGES + 1).versions())
