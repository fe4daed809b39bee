"""The oracle of a load: the workload is complete, and the comparison finds what is missing or wrong."""

from __future__ import annotations

import io
from random import Random

import msgspec
import pytest

from subscriber.events.order import fold
from testkit.checker.compare import Comparison, Stored, StoredRow, compare
from testkit.checker.latency import Latency, commit_latency, percentile
from testkit.terminal import Screen, clock, duration, fitting
from testkit.workload.bucket import ObjectRow, SimulatedBucket, VersionRow
from testkit.workload.random_walk import seeded_buckets
from testkit.workload.send_log import Sent, sent_event
from testkit.workload.shuffle import DUPLICATE_SHARE, UNDECODABLE, WorkloadMessage, shuffled_messages
from tests.events.samples import decoded

EVENTS = 600


@pytest.fixture(scope="module")
def buckets() -> tuple[SimulatedBucket, ...]:
    """Three buckets with a history."""
    return seeded_buckets(3, events=EVENTS, keys=60)


@pytest.fixture(scope="module")
def messages(buckets: tuple[SimulatedBucket, ...]) -> list[WorkloadMessage]:
    """Their events as messages, out of order."""
    return shuffled_messages(buckets, Random(3))


@pytest.fixture
def sent(messages: list[WorkloadMessage]) -> list[Sent]:
    """The send log of these messages, one message per second."""
    return [
        sent_event(str(second), float(second), telling.emission)
        if telling.emission
        else Sent(str(second), float(second), is_undecodable=telling.is_undecodable)
        for second, telling in enumerate(messages)
    ]


@pytest.fixture
def stored(messages: list[WorkloadMessage], buckets: tuple[SimulatedBucket, ...]) -> Stored:
    """What a correct subscriber stores, all committed at second 10,000."""
    events = fold(event for message in messages for event in decoded(message.body).events)
    rows = {
        (event.bucket, event.key, event.version_id): StoredRow(
            VersionRow(event.bucket, event.key, event.version_id, event.state, event.size_bytes, event.etag),
            event.sequencer,
            10_000.0,
        )
        for event in events
    }
    objects = frozenset(row for bucket in buckets for row in bucket.expected_objects())
    quarantined = frozenset(str(n) for n, message in enumerate(messages) if message.is_undecodable)
    return Stored(rows, objects, quarantined)


def test_a_workload_is_complete_and_out_of_order(
    messages: list[WorkloadMessage], buckets: tuple[SimulatedBucket, ...]
) -> None:
    """Every event is sent, about one in ten twice, out of order, among messages without a row."""
    emitted = [message.emission for message in messages if message.emission]
    history = [emission for bucket in buckets for emission in bucket.history]
    assert set(emitted) == set(history)
    assert len(history) * (1 + DUPLICATE_SHARE / 2) < len(emitted) < len(history) * (1 + DUPLICATE_SHARE * 2)
    assert sum(message.is_undecodable for message in messages) == len(UNDECODABLE)
    raw = [emission.sequencer for emission in emitted if emission.bucket == buckets[0].name]
    assert raw != sorted(raw)


def test_undecodable_bodies_are_rejected_and_the_others_are_not(messages: list[WorkloadMessage]) -> None:
    """Decode rejects exactly the messages that the workload marks as undecodable."""
    for message in messages:
        assert (decoded(message.body).rejection is not None) == message.is_undecodable


def test_a_perfect_run(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """If everything is stored, nothing is lost and nothing is wrong."""
    comparison = compare(sent, stored, buckets)
    assert comparison == Comparison(
        sent=len(sent),
        committed=len(sent) - len(UNDECODABLE) - 4,
        quarantined=len(UNDECODABLE),
        without_row=4,
        lost=0,
        wrong_versions=0,
        wrong_objects=0,
    )
    assert comparison.is_flawless


def test_a_missing_row(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """A missing row is wrong, and every message about it is lost."""
    version = next(iter(stored.versions))
    del stored.versions[version]
    comparison = compare(sent, stored, buckets)
    assert (comparison.lost, comparison.wrong_versions) == (sum(each.version == version for each in sent), 1)


def test_an_outdated_row(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """A row with an older sequencer has lost the newer event, even if its other columns are equal."""
    version, row = next(iter(stored.versions.items()))
    stored.versions[version] = msgspec.structs.replace(row, sequencer="0")
    assert not compare(sent, stored, buckets).is_flawless
    assert compare(sent, stored, buckets).lost > 0


def test_a_wrong_row(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """A row with the right sequencer and other values is wrong, once."""
    version, row = next(iter(stored.versions.items()))
    changed = msgspec.structs.replace(row.row, size_bytes=-5)
    stored.versions[version] = msgspec.structs.replace(row, row=changed)
    comparison = compare(sent, stored, buckets)
    assert (comparison.lost, comparison.wrong_versions, comparison.is_flawless) == (0, 1, False)


def test_an_unexpected_object(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """An object that the bucket does not list is wrong."""
    ghost = ObjectRow("lake-raw", "ghost", "", 1, None)
    with_ghost = msgspec.structs.replace(stored, objects=stored.objects | {ghost})
    assert compare(sent, with_ghost, buckets).wrong_objects == 1


def test_a_missing_quarantine(sent: list[Sent], stored: Stored, buckets: tuple[SimulatedBucket, ...]) -> None:
    """An undecodable body that is not in the quarantine is lost."""
    without_quarantine = msgspec.structs.replace(stored, quarantined=frozenset())
    comparison = compare(sent, without_quarantine, buckets)
    assert (comparison.lost, comparison.quarantined) == (len(UNDECODABLE), 0)


def test_latency_counts_from_the_first_sending(stored: Stored) -> None:
    """The first sending of an event counts, and superseded events are left out."""
    version, row = next(iter(stored.versions.items()))
    bucket, key, version_id = version
    event = Sent("1", 9_990.0, bucket, key, version_id, row.sequencer)
    again = msgspec.structs.replace(event, message_id="2", sent_at=9_999.0)
    superseded = msgspec.structs.replace(event, message_id="3", sent_at=1.0, sequencer="0")
    assert commit_latency([again, event, superseded], stored.versions) == Latency(1, 10.0, 10.0, 10.0)


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_percentile(percent: float, value: float) -> None:
    """A percentile is one of the values, by nearest rank."""
    assert percentile([float(n) for n in range(1, 101)], percent) == value


def test_a_log_gets_plain_lines() -> None:
    """Without a terminal there are no control characters, and the status line is printed only now and then."""
    output = io.StringIO()
    screen = Screen(output)
    screen.show(["a", "b"])
    screen.show(["c"])
    screen.table([("name", "1", "remark"), ("", "", ""), ("n", "22", "r")])
    assert output.getvalue() == "a │ b\n  name   1   remark\n\n  n     22   r\n"


def test_figures_for_people() -> None:
    """Times are short, and a narrow terminal shows whole parts."""
    assert (clock(65.9), duration(0.0314), duration(3.14), duration(314.1)) == ("1:05", "31 ms", "3.1 s", "314 s")
    assert fitting(["aaa", "bbb", "ccc"], 9) == "aaa │ bbb"
