"""The load of a chaos run: messages generated on demand, and the rows that each of them must lead to.

The SQS emulator and the history checker generate the same message from seed and index, in different processes, so
none is stored. Each block of 500 messages is of one kind:

mixed: histories of whole buckets in all envelopes, with unreadable bodies in between (`mixed_backlog.py`).
new: new objects, one event each.
hot: a hundred objects that are overwritten again and again, with events out of order.
several: several records per message, of a new object and a few old ones; every seventh message has an unreadable
    record among them.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal, TypeAlias

import msgspec

from benchmarks.chaos import variants
from benchmarks.chaos.variants import Variant
from subscriber.model import ObjectEvent
from testkit.checker.evidence import ExpectedMessage, Version, version_of
from testkit.sqs.raw_client import RawClient
from testkit.workload import backlogs, mixed_backlog
from testkit.workload.bucket import START, Emission, RowState
from testkit.workload.shuffle import WorkloadMessage

BLOCK_MESSAGES: Final = mixed_backlog.BLOCK_MESSAGES
Block: TypeAlias = Literal["mixed", "new", "hot", "several"]

_WEIGHTS: Final[dict[Block, int]] = {"mixed": 20, "new": 40, "hot": 20, "several": 20}
HOT_OBJECTS: Final = 100
LOCKED_OBJECT: Final = HOT_OBJECTS // 2 + 1
"""The object whose row another session locks; it is one of those that are overwritten again and again."""
"""Objects that are overwritten again and again, numbered from 0."""
_OLD_OBJECTS: Final = range(HOT_OBJECTS // 2 - 10, HOT_OBJECTS // 2 + 10)
"""Old objects in messages of several records: so few that one message in twenty has a given one."""
_UNREADABLE_EVERY = 7
_UNREADABLE_SIZES = ("-1", '"large"')
"""The first is an invalid value, the second an invalid type."""
_GRAIN_SECONDS = 0.001
"""The shortest wait of a poll for the next message, so that several arrive together."""
_STRIDE = 347
"""Coprime to 500: position times this, modulo 500, permutes a block."""
_BLOCKS_PER_SEED = 1_000
_EVENTBRIDGE = '{"version":"0"'
"""First bytes of an EventBridge body, whose times are whole seconds."""


class ChaosLoad(msgspec.Struct, frozen=True):
    """A number of messages: half are there at once, half arrive evenly within `seconds`."""

    seed: int
    messages: int
    seconds: float = 0.0
    is_steady: bool = False
    """All messages arrive evenly, and each has one new object."""
    variant: Variant = "aws"
    """What `variants.py` makes of the messages; `mixed` blocks stay those of AWS."""
    overwritten_every: int = 0
    """In a steady load: every so many messages one overwrites the object LOCKED_OBJECT; 0: none."""

    def attach(self, client: RawClient, queue_url: str) -> None:
        """Attaches the load to a queue, which generates messages as they are received."""
        client.attach_backlog(queue_url, f"{__name__}:arriving", **msgspec.structs.asdict(self))

    def body(self, index: int) -> str:
        """The body of the message with this index."""
        unknown = variants.unknown_body(index) if self.variant == "unknown" else None
        if unknown is not None:
            return unknown
        kind = self._kind(index)
        if kind == "mixed":
            return self._message(index).body
        if kind == "several":
            return self._several_body(index)
        if self.variant == "ceph":
            return backlogs.records_body([self._record(*self._object_and_moment(kind, index))])
        return backlogs.put_body(*self._object_and_moment(kind, index))

    def expected(self, index: int, message_id: str, rejected: frozenset[int] = frozenset()) -> ExpectedMessage:
        """What the message with this index must lead to.

        Args:
            index: index of the message, from 0.
            message_id: the id that the queue gave it.
            rejected: numbers of the objects whose rows the database may have rejected.
        """
        if self.variant == "unknown" and variants.unknown_body(index) is not None:
            return self._expected_unknown(index, message_id)
        kind = self._kind(index)
        if kind == "mixed":
            return expected_from(self._message(index), message_id)
        records = _several(index) if kind == "several" else (self._object_and_moment(kind, index),)
        may_be_rejected = frozenset(version_of(self._event(*record)) for record in records if record[0] in rejected)
        is_readable = kind != "several" or _unreadable_position(index) is None
        return ExpectedMessage(
            message_id,
            tuple(self._event(*record) for record in records),
            is_readable=is_readable,
            may_be_rejected=may_be_rejected,
            body=None if is_readable and not may_be_rejected else self.body(index).encode(),
        )

    def arrives_after(self, index: int) -> float:
        """Seconds from the start of the load until the message with this index arrives."""
        at_once = 0.0 if self.is_steady else 0.5
        share = (index + 1) / self.messages
        return max(0.0, share - at_once) / (1.0 - at_once) * self.seconds

    def arrived_after(self, seconds: float) -> int:
        """How many messages have arrived this many seconds after the start."""
        at_once = 0.0 if self.is_steady else 0.5
        share = 1.0 if seconds >= self.seconds else at_once + (1.0 - at_once) * seconds / self.seconds
        return int(share * self.messages)

    def versions_of(self, numbers: frozenset[int]) -> frozenset[Version]:
        """The rows of the objects with these numbers, among those that are overwritten again and again."""
        return frozenset(version_of(self._event(number, 0)) for number in numbers)

    def _expected_unknown(self, index: int, message_id: str) -> ExpectedMessage:
        return ExpectedMessage(
            message_id,
            variants.events_beside_unknown(index, _put_event(variants.known_number(index), index)),
            is_readable=False,
            body=self.body(index).encode(),
            reason=variants.UNKNOWN_EVENT,
        )

    def _object_and_moment(self, kind: Block, index: int) -> tuple[int, int]:
        if self.overwritten_every and index % self.overwritten_every == 0:
            return LOCKED_OBJECT, index
        return _object_and_moment(kind, index)

    def _event(self, number: int, moment: int) -> ObjectEvent:
        if self.variant == "ceph":
            return variants.ceph_event(variants.ceph_key(number, HOT_OBJECTS), moment)
        return _put_event(number, moment)

    def _record(self, number: int, moment: int, size: str | None = None) -> str:
        size = str(backlogs.size_of(moment)) if size is None else size
        if self.variant == "ceph":
            return variants.ceph_record(variants.ceph_key(number, HOT_OBJECTS), moment, size)
        return backlogs.put_record(number, moment, size)

    def _several_body(self, index: int) -> str:
        records = [self._record(*each) for each in _several(index)]
        position = _unreadable_position(index)
        if position is not None:
            unreadable = _UNREADABLE_SIZES[index // _UNREADABLE_EVERY % len(_UNREADABLE_SIZES)]
            records.insert(position, self._record(HOT_OBJECTS // 2, index, unreadable))
        return backlogs.records_body(records)

    def _kind(self, index: int) -> Block:
        return "new" if self.is_steady else block_kind(self.seed, index // BLOCK_MESSAGES)

    def _message(self, index: int) -> WorkloadMessage:
        return mixed_backlog.message(self.seed * _BLOCKS_PER_SEED * BLOCK_MESSAGES + index)


class ArrivingBacklog:
    """A load as a backlog of the SQS emulator."""

    def __init__(self, load: ChaosLoad, started_at: float) -> None:
        self._load = load
        self._started_at = started_at
        self._taken = 0

    def available(self, now: float) -> int:
        """How many messages have arrived and were not taken."""
        return self._load.arrived_after(now - self._started_at) - self._taken

    def take(self, limit: int, now: float) -> Sequence[tuple[str, float]]:
        """The next bodies, in order of index, each with its time of sending."""
        first = self._taken
        self._taken += max(0, min(limit, self.available(now)))
        return [(self._load.body(index), now) for index in range(first, self._taken)]

    def next_arrival(self, now: float) -> float | None:
        """Unix time of the next arrival; None after the last."""
        following = self._taken + self.available(now)
        if following >= self._load.messages:
            return None
        return max(now + _GRAIN_SECONDS, self._started_at + self._load.arrives_after(following))


def arriving(**load: Any) -> ArrivingBacklog:
    """The messages of a load with these fields, as a backlog that starts to arrive now."""
    return ArrivingBacklog(ChaosLoad(**load), time.time())


@functools.cache
def block_kind(seed: int, block: int) -> Block:
    """The kind of this block's messages."""
    return Random(f"{seed}/{block}").choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def expected_from(message: WorkloadMessage, message_id: str) -> ExpectedMessage:
    """The checker's expectation for a message of the mixed backlog."""
    if message.is_undecodable:
        return ExpectedMessage(message_id, is_readable=False, body=message.body.encode())
    if message.emission is None:
        return ExpectedMessage(message_id)
    return ExpectedMessage(
        message_id, (event_of(message.emission, has_whole_seconds=_is_from_eventbridge(message.body)),)
    )


def event_of(emission: Emission, *, has_whole_seconds: bool) -> ObjectEvent:
    """The row that an emission must lead to, computed without reading the envelope's text."""
    moment = emission.event_time
    microsecond = 0 if has_whole_seconds else moment.microsecond // 1000 * 1000
    return ObjectEvent(
        bucket=emission.bucket,
        key=emission.key,
        version_id="" if emission.version_id in {None, "null"} else str(emission.version_id),
        state=_state_after(emission.event_name),
        sequencer=emission.sequencer[2:].rstrip("0"),
        event_name=emission.event_name,
        event_time=moment.replace(microsecond=microsecond),
        size_bytes=emission.size_bytes,
        etag=emission.etag,
    )


def _state_after(event_name: str) -> RowState:
    family, _, kind = event_name.partition(":")
    if family == "ObjectCreated":
        return "present"
    return "delete_marker" if kind == "DeleteMarkerCreated" else "removed"


def _is_from_eventbridge(body: str) -> bool:
    return body.startswith(_EVENTBRIDGE)


def _object_and_moment(kind: Block, index: int) -> tuple[int, int]:
    """Number of the object, and the index that its sequencer, size and ETag are derived from."""
    block, position = divmod(index, BLOCK_MESSAGES)
    moment = block * BLOCK_MESSAGES + position * _STRIDE % BLOCK_MESSAGES
    return (moment % HOT_OBJECTS if kind == "hot" else HOT_OBJECTS + moment), moment


def _several(index: int) -> tuple[tuple[int, int], ...]:
    """`_object_and_moment` of each readable record of a message of several: one new object, then one to four old ones.

    In a third of the messages the old ones are one and the same object, with events out of order.
    """
    number, moment = _object_and_moment("several", index)
    block, position = divmod(index, BLOCK_MESSAGES)
    old = [
        (
            _OLD_OBJECTS[(moment // 3 + each * (position % 3)) % len(_OLD_OBJECTS)],
            block * BLOCK_MESSAGES + (moment + each * _STRIDE) % BLOCK_MESSAGES,
        )
        for each in range(1, 2 + position % 4)
    ]
    return ((number, moment), *old)


def _unreadable_position(index: int) -> int | None:
    """Position of the unreadable record in a message of several records; None: there is none."""
    return None if index % _UNREADABLE_EVERY else index // _UNREADABLE_EVERY % 3


def _put_event(number: int, moment: int) -> ObjectEvent:
    return ObjectEvent(
        bucket=backlogs.BUCKET,
        key=backlogs.key(number),
        version_id="",
        state="present",
        sequencer=backlogs.sequencer_of(moment)[2:].rstrip("0"),
        event_name="ObjectCreated:Put",
        event_time=START,
        size_bytes=backlogs.size_of(moment),
        etag=backlogs.etag_of(moment),
    )
