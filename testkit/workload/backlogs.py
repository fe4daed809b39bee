"""Generated backlogs, and the rows that they must produce.

The SQS emulator makes each body from its index. The row checker computes the expected rows with the same formula in
another process. Neither side ever holds all of half a million messages in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from testkit.sqs.backlog import Backlog, GeneratedBacklog
from testkit.sqs.raw_client import RawClient
from testkit.workload import mixed_backlog
from testkit.workload.bucket import START, Emission, ObjectRow, VersionRow
from testkit.workload.notifications import native_body

Kind: TypeAlias = Literal["flood", "hot", "mixed"]

BUCKET: Final = "lake-landing"
HOT_KEYS: Final = 100
_PREFIX = "landing/source=telemetry/dt=2026-08-02/part-"
_SCATTER = 104_729
"""A prime: index × this, modulo the count, visits every number once, each far from the previous one."""
_FIRST_SEQUENCE = int(START.timestamp()) << 32
_MIB = 1024**2
_MARKS = ("@KEY@", 987654321012345, "@ETAG@", "@SEQUENCER@")


class BacklogLoad(msgspec.Struct, frozen=True):
    """A number of messages that are all in the queue from the start.

    `flood` has one new object per message, with scattered keys. `hot` overwrites the same hundred objects. `mixed` has
    all kinds of events in all envelopes, with duplicates and undecodable bodies.
    """

    kind: Kind
    messages: int
    spacing: int = 1
    """Distance between the key numbers of two objects of a flood: other rows can be between them."""
    is_flat: bool = False
    """Whether each body is a JSON object of the row's columns, for a competitor that cannot unwrap `Records`."""

    def __post_init__(self) -> None:
        if self.is_flat and self.kind == "mixed":
            raise ValueError("a mixed backlog has no flat form: not every message is one row")

    def attach(self, client: RawClient, queue_url: str) -> None:
        """Attach the messages to a queue, which generates them when they are received."""
        client.attach_backlog(queue_url, f"{__name__}:backlog", **msgspec.structs.asdict(self))

    def body(self, index: int) -> str:
        """The body of the message with this index."""
        if self.kind == "mixed":
            return mixed_backlog.message(index).body
        number = index % HOT_KEYS if self.kind == "hot" else index * _SCATTER % self.messages * self.spacing + 1
        return _flat_body(number, index) if self.is_flat else put_body(number, index)

    def versions(self) -> Iterator[VersionRow]:
        """The expected rows of `object_versions`, in the order of the primary key."""
        if self.kind == "mixed":
            yield from mixed_backlog.versions(self.messages)
        else:
            for number, index in self._last_writes():
                yield VersionRow(BUCKET, key(number), "", "present", size_of(index), etag_of(index))

    def objects(self) -> Iterator[ObjectRow]:
        """The expected rows of the view `objects`, in the same order."""
        if self.kind == "mixed":
            yield from mixed_backlog.objects(self.messages)
        else:
            for row in self.versions():
                yield ObjectRow(row.bucket, row.key, row.version_id, row.size_bytes, row.etag)

    @property
    def quarantined(self) -> int:
        """How many of the messages cannot be decoded."""
        return mixed_backlog.undecodable(self.messages) if self.kind == "mixed" else 0

    def _last_writes(self) -> Iterator[tuple[int, int]]:
        """Each object's number in ascending order, and the index of the last message about it."""
        if self.kind == "hot":
            keys = min(HOT_KEYS, self.messages)
            yield from (
                (number, (self.messages - 1 - number) // HOT_KEYS * HOT_KEYS + number) for number in range(keys)
            )
            return
        back = pow(_SCATTER, -1, self.messages)
        for number in range(self.messages):
            yield number * self.spacing + 1, number * back % self.messages


def backlog(kind: Kind, messages: int, spacing: int, *, is_flat: bool = False) -> Backlog:
    """The messages of a `BacklogLoad`, with the current time as send time; called by the SQS emulator."""
    return GeneratedBacklog(BacklogLoad(kind, messages, spacing, is_flat).body, messages, time.time())


def key(number: int) -> str:
    """The key of an object; keys sort by their numbers."""
    return f"{_PREFIX}{number:012}.parquet"


def size_of(index: int) -> int:
    """The object size in the message with this index, in bytes."""
    return _MIB + index


def etag_of(index: int) -> str:
    """The ETag in the message with this index."""
    return f"{index:032x}"


def sequencer_of(index: int) -> str:
    """The sequencer in the message with this index, as S3 writes it; a higher index is newer."""
    return f"00{_FIRST_SEQUENCE + index + 1:016X}"


def _cut(template: str) -> tuple[str, ...]:
    """A body, split at the values that differ between messages: joining the parts costs a tenth of encoding it."""
    rest, pieces = template, []
    for mark in _MARKS:
        piece, _, rest = rest.partition(str(mark))
        pieces.append(piece)
    return (*pieces, rest)


def _native_template() -> str:
    name, size_bytes, etag, sequencer = _MARKS
    emission = Emission(BUCKET, str(name), None, "ObjectCreated:Put", START, str(sequencer), int(size_bytes), str(etag))
    return native_body(emission).replace("%40", "@")


def _flat_template() -> str:
    name, size_bytes, etag, sequencer = _MARKS
    constant = {"bucket": BUCKET, "version_id": "", "state": "present", "event_name": "ObjectCreated:Put"}
    return msgspec.json.encode(
        {**constant, "event_time": START, "key": name, "size_bytes": size_bytes, "etag": etag, "sequencer": sequencer}
    ).decode()


_BEFORE_RECORDS, _AFTER_RECORDS = '{"Records":[', "]}"
_NATIVE: Final = _cut(_native_template())
_NATIVE_RECORD: Final = _cut(_native_template().removeprefix(_BEFORE_RECORDS).removesuffix(_AFTER_RECORDS))
_FLAT: Final = _cut(_flat_template())


def put_body(number: int, index: int) -> str:
    """A native notification about a put of the object with this number, in the message with this index."""
    before, key_size, size_etag, etag_sequencer, after = _NATIVE
    quoted = key(number).replace("=", "%3D")
    sequencer = sequencer_of(index)
    return f"{before}{quoted}{key_size}{size_of(index)}{size_etag}{etag_of(index)}{etag_sequencer}{sequencer}{after}"


def put_record(number: int, index: int, size: str) -> str:
    """A single record of such a notification, with any text as its size."""
    before, key_size, size_etag, etag_sequencer, after = _NATIVE_RECORD
    quoted = key(number).replace("=", "%3D")
    return f"{before}{quoted}{key_size}{size}{size_etag}{etag_of(index)}{etag_sequencer}{sequencer_of(index)}{after}"


def records_body(records: Iterable[str]) -> str:
    """A native notification with these records: the format allows any number."""
    return f"{_BEFORE_RECORDS}{','.join(records)}{_AFTER_RECORDS}"


def _flat_body(number: int, index: int) -> str:
    before, key_size, size_etag, etag_sequencer, after = _FLAT
    sequencer = f"{_FIRST_SEQUENCE + index + 1:016X}".rstrip("0")  # canonical, as the table requires
    size_bytes, etag = size_of(index), etag_of(index)
    return f"{before}{key(number)}{key_size}{size_bytes}{size_etag}{etag}{etag_sequencer}{sequencer}{after}"
