"""Turns bucket histories into queue messages: out of order, with duplicates and with undecodable bodies.

S3 delivers events at least once and in no guaranteed order (S3 user guide, "Amazon S3 Event Notifications"). This is
simulated by a seeded sort: every event is moved by a random distance, a duplicate by a longer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from testkit.workload.bucket import Emission, SimulatedBucket
from testkit.workload.notifications import Envelope, body_of, native_body, test_event_body

DUPLICATE_SHARE: Final = 0.1
"""Share of the events that are sent twice."""
REORDER_DISTANCE: Final = 50
DUPLICATE_DISTANCE: Final = 1_000
_ENVELOPES: Final[tuple[Envelope, ...]] = ("native", "sns", "eventbridge")
_ENVELOPE_WEIGHTS: Final = (90, 5, 5)

"""How many positions an event, or a duplicate, moves back at most."""
UNDECODABLE: Final = (
    "This is no event of any kind.",
    """{"Records":[{"eventVersion":"2.6","eventTime":"2026-08-02T07:51:20.063Z","eventName":"ObjectCreated:Put",
    "s3":{"bucket":{"name":"lake-raw"},"object":{"key":"not-utf8-%FF","size":1}}}]}""",
    '{"Type":"SubscriptionConfirmation","Message":"You have chosen to subscribe","Token":"2336412f"}',
)
"""Bodies that must end in the quarantine."""


class WorkloadMessage(msgspec.Struct, frozen=True, gc=False):
    """One message: its body, and the event in it."""

    body: str
    emission: Emission | None = None
    """None if it has nothing for the index."""
    is_undecodable: bool = False


def shuffled_messages(buckets: Sequence[SimulatedBucket], random: Random) -> list[WorkloadMessage]:
    """All events of the buckets as messages, in the order of sending."""
    emissions = _interleaved([bucket.history for bucket in buckets], random)
    positioned: list[tuple[float, WorkloadMessage]] = []
    for position, emission in enumerate(emissions):
        envelope = random.choices(_ENVELOPES, _ENVELOPE_WEIGHTS)[0]
        message = WorkloadMessage(body_of(emission, envelope), emission)
        positioned.append((position + random.uniform(0, REORDER_DISTANCE), message))
        if random.random() < DUPLICATE_SHARE:
            positioned.append((position + random.uniform(0, DUPLICATE_DISTANCE), message))
    positioned += [(random.uniform(0, len(emissions)), message) for message in _without_rows(emissions)]
    positioned.sort(key=lambda pair: pair[0])
    return [message for _, message in positioned]


def _interleaved(histories: Sequence[Sequence[Emission]], random: Random) -> list[Emission]:
    """One list of all events, in which each history keeps its order."""
    order = [number for number, history in enumerate(histories) for _ in history]
    random.shuffle(order)
    iterators = [iter(history) for history in histories]
    return [next(iterators[number]) for number in order]


def _without_rows(emissions: Sequence[Emission]) -> list[WorkloadMessage]:
    """Messages without a row: S3's test event, events without an effect on the index, and undecodable bodies."""
    ignored = [test_event_body(emissions[0].bucket)] if emissions else []
    for emission in emissions[:3]:
        tagging = msgspec.structs.replace(emission, event_name="ObjectTagging:Put", sequencer="", size_bytes=None)
        ignored.append(native_body(tagging))
    undecodable = [WorkloadMessage(body, is_undecodable=True) for body in UNDECODABLE]
    return [*(WorkloadMessage(body) for body in ignored), *undecodable]
