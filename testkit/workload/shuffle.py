"""How a queue tells of what happened: not in order, some of it twice, and not all of it readable.

Events reach a queue a little out of order and now and then twice (S3 user guide, "Amazon S3 Event
Notifications": designed for at least once, in no promised order). Here that is a seeded sort: every event gets
its place plus a random delay, a duplicate a longer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from testkit.workload.bucket import Emission, SimulatedBucket
from testkit.workload.notifications import Envelope, body_of, native_body, test_event_body

DUPLICATED: Final = 0.1
"""Share of the events that are told twice."""
REORDERING_PLACES: Final = 50
DUPLICATE_PLACES: Final = 1_000
_ENVELOPES: Final[tuple[Envelope, ...]] = ("native", "sns", "eventbridge")
_ENVELOPE_WEIGHTS: Final = (90, 5, 5)

UNDECODABLE: Final = (
    "This is no event of any kind.",
    """{"Records":[{"eventVersion":"2.6","eventTime":"2026-08-02T07:51:20.063Z","eventName":"ObjectCreated:Put",
    "s3":{"bucket":{"name":"lake-raw"},"object":{"key":"not-utf8-%FF","size":1}}}]}""",
    '{"Type":"SubscriptionConfirmation","Message":"You have chosen to subscribe","Token":"2336412f"}',
)
"""Bodies that must end in the quarantine."""


class Telling(msgspec.Struct, frozen=True, gc=False):
    """One message: what stands in it, and what it tells."""

    body: str
    emission: Emission | None = None
    """None where there is nothing for the index in it."""
    is_undecodable: bool = False


def tellings(buckets: Sequence[SimulatedBucket], random: Random) -> list[Telling]:
    """Everything the buckets have told, as messages in the order in which they are sent."""
    emissions = _interleaved([bucket.history for bucket in buckets], random)
    placed: list[tuple[float, Telling]] = []
    for place, emission in enumerate(emissions):
        envelope = random.choices(_ENVELOPES, _ENVELOPE_WEIGHTS)[0]
        telling = Telling(body_of(emission, envelope), emission)
        placed.append((place + random.uniform(0, REORDERING_PLACES), telling))
        if random.random() < DUPLICATED:
            placed.append((place + random.uniform(0, DUPLICATE_PLACES), telling))
    placed += [(random.uniform(0, len(emissions)), telling) for telling in _strangers(emissions)]
    placed.sort(key=lambda pair: pair[0])
    return [telling for _, telling in placed]


def _interleaved(histories: Sequence[Sequence[Emission]], random: Random) -> list[Emission]:
    """One list in which each history keeps its own order."""
    turns = [number for number, history in enumerate(histories) for _ in history]
    random.shuffle(turns)
    walks = [iter(history) for history in histories]
    return [next(walks[number]) for number in turns]


def _strangers(emissions: Sequence[Emission]) -> list[Telling]:
    """Messages that are no row: S3's test event, an event that says nothing about existence, and nonsense."""
    silent = [test_event_body(emissions[0].bucket)] if emissions else []
    for emission in emissions[:3]:
        tagging = msgspec.structs.replace(emission, event_name="ObjectTagging:Put", sequencer="", size_bytes=None)
        silent.append(native_body(tagging))
    undecodable = [Telling(body, is_undecodable=True) for body in UNDECODABLE]
    return [*(Telling(body) for body in silent), *undecodable]
