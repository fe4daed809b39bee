"""The load of a chaos run: messages made when they are asked for, and what each of them told.

Queue server and judge make the same message from seed and index, in different processes; nobody keeps them. Blocks of
500 messages differ: lives of whole buckets in all envelopes, with nonsense in between (`mixed_backlog.py`); new
objects, each told once; a hundred objects overwritten again and again, told out of order; or several records in one
message, of a new object and of few old ones, every seventh with a record among them that cannot be read.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from random import Random
from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.model import ObjectEvent
from testkit.checker.evidence import ExpectedMessage, version_of
from testkit.sqs.raw_client import RawClient
from testkit.workload import backlogs, mixed_backlog
from testkit.workload.bucket import START, Emission, RowState
from testkit.workload.shuffle import Telling

BLOCK_MESSAGES: Final = mixed_backlog.CHAPTER_MESSAGES
Block: TypeAlias = Literal["lives", "new", "hot", "several"]

_WEIGHTS: Final[dict[Block, int]] = {"lives": 20, "new": 40, "hot": 20, "several": 20}
HOT_OBJECTS: Final = 100
"""Those that are overwritten again and again, numbered from 0."""
_FEW: Final = range(HOT_OBJECTS // 2 - 10, HOT_OBJECTS // 2 + 10)
"""Those that messages of several records tell of besides: so few that a message in twenty tells of a given one."""
_UNREADABLE_EVERY = 7
_UNREADABLE_SIZES = ("-1", '"large"')
"""One that breaks the meaning of a record, and one that breaks its form."""
_GRAIN_SECONDS = 0.001
"""A poll is woken for the next message no sooner than so much later: several come together."""
_STRIDE = 347
"""Prime to 500: places of a block times this, modulo 500, come in another order and each once."""
_CHAPTERS_PER_SEED = 1_000
_EVENTBRIDGE = '{"version":"0"'
"""How such a body begins; it tells whole seconds."""


class ChaosLoad(msgspec.Struct, frozen=True):
    """A number of messages, half of them there at once and half within some seconds."""

    seed: int
    messages: int
    seconds: float = 0.0
    is_steady: bool = False
    """All come evenly, and each tells of a new object."""

    def attach(self, client: RawClient, queue_url: str) -> None:
        """Put them into a queue, to be made as they are received."""
        client.attach_backlog(queue_url, f"{__name__}:arriving", **msgspec.structs.asdict(self))

    def body(self, index: int) -> str:
        """The body of the message with this index."""
        kind = self._kind(index)
        if kind == "lives":
            return self._telling(index).body
        if kind == "several":
            return _several_body(index)
        return backlogs.put_body(*_object_and_moment(kind, index))

    def told(self, index: int, message_id: str, refused: frozenset[int] = frozenset()) -> ExpectedMessage:
        """What the message with this index told, under the id the queue gave it.

        Args:
            index: of the message, from 0.
            message_id: the queue's.
            refused: the objects, by number, whose rows the database may have refused.
        """
        kind = self._kind(index)
        if kind == "lives":
            return told_by(self._telling(index), message_id)
        records = _several(index) if kind == "several" else (_object_and_moment(kind, index),)
        refusable = frozenset(version_of(_put_event(*record)) for record in records if record[0] in refused)
        is_readable = kind != "several" or _unreadable_place(index) is None
        return ExpectedMessage(
            message_id,
            tuple(_put_event(*record) for record in records),
            is_readable=is_readable,
            refusable=refusable,
            body=None if is_readable and not refusable else self.body(index).encode(),
        )

    def arrives_after(self, index: int) -> float:
        """Seconds from the begin of the load until the message with this index is there."""
        at_once = 0.0 if self.is_steady else 0.5
        share = (index + 1) / self.messages
        return max(0.0, share - at_once) / (1.0 - at_once) * self.seconds

    def arrived_after(self, seconds: float) -> int:
        """How many messages are there so long after the begin."""
        at_once = 0.0 if self.is_steady else 0.5
        share = 1.0 if seconds >= self.seconds else at_once + (1.0 - at_once) * seconds / self.seconds
        return int(share * self.messages)

    def _kind(self, index: int) -> Block:
        return "new" if self.is_steady else block_kind(self.seed, index // BLOCK_MESSAGES)

    def _telling(self, index: int) -> Telling:
        return mixed_backlog.telling(self.seed * _CHAPTERS_PER_SEED * BLOCK_MESSAGES + index)


class ArrivingBacklog:
    """For the queue server: half of a load at once, the rest evenly."""

    def __init__(self, load: ChaosLoad, started_at: float) -> None:
        self._load = load
        self._started_at = started_at
        self._taken = 0

    def available(self, now: float) -> int:
        """What has arrived and was not taken."""
        return self._load.arrived_after(now - self._started_at) - self._taken

    def take(self, limit: int, now: float) -> Sequence[tuple[str, float]]:
        """The next bodies by index."""
        first = self._taken
        self._taken += max(0, min(limit, self.available(now)))
        return [(self._load.body(index), now) for index in range(first, self._taken)]

    def next_arrival(self, now: float) -> float | None:
        """When the next message comes; None after the last."""
        following = self._taken + self.available(now)
        if following >= self._load.messages:
            return None
        return max(now + _GRAIN_SECONDS, self._started_at + self._load.arrives_after(following))


def arriving(seed: int, messages: int, seconds: float, *, is_steady: bool) -> ArrivingBacklog:
    """The backlog that begins to arrive now."""
    return ArrivingBacklog(ChaosLoad(seed, messages, seconds, is_steady), time.time())


@functools.cache
def block_kind(seed: int, block: int) -> Block:
    """What the messages of this block are like."""
    return Random(f"{seed}/{block}").choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def told_by(telling: Telling, message_id: str) -> ExpectedMessage:
    """The same in the words of the checker."""
    if telling.is_undecodable:
        return ExpectedMessage(message_id, is_readable=False, body=telling.body.encode())
    if telling.emission is None:
        return ExpectedMessage(message_id)
    return ExpectedMessage(
        message_id, (event_of(telling.emission, has_whole_seconds=_is_from_eventbridge(telling.body)),)
    )


def event_of(emission: Emission, *, has_whole_seconds: bool) -> ObjectEvent:
    """The row that an emission asks for, worked out without a look at any envelope's text."""
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
    """Number of the object, and the index that its sequencer, size and ETag come from."""
    block, place = divmod(index, BLOCK_MESSAGES)
    moment = block * BLOCK_MESSAGES + place * _STRIDE % BLOCK_MESSAGES
    return (moment % HOT_OBJECTS if kind == "hot" else HOT_OBJECTS + moment), moment


def _several(index: int) -> tuple[tuple[int, int], ...]:
    """The same for each readable record of a message of several: a new object, then one to four times old ones.

    In a third of the messages the old ones are one and the same, told of out of order.
    """
    number, moment = _object_and_moment("several", index)
    block, place = divmod(index, BLOCK_MESSAGES)
    old = [
        (
            _FEW[(moment // 3 + each * (place % 3)) % len(_FEW)],
            block * BLOCK_MESSAGES + (moment + each * _STRIDE) % BLOCK_MESSAGES,
        )
        for each in range(1, 2 + place % 4)
    ]
    return ((number, moment), *old)


def _unreadable_place(index: int) -> int | None:
    """Before which record of a message of several one stands that cannot be read; None: nowhere."""
    return None if index % _UNREADABLE_EVERY else index // _UNREADABLE_EVERY % 3


def _several_body(index: int) -> str:
    records = [backlogs.put_record(*each, str(backlogs.size_of(each[1]))) for each in _several(index)]
    place = _unreadable_place(index)
    if place is not None:
        unreadable = _UNREADABLE_SIZES[index // _UNREADABLE_EVERY % len(_UNREADABLE_SIZES)]
        records.insert(place, backlogs.put_record(HOT_OBJECTS // 2, index, unreadable))
    return backlogs.records_body(records)


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
