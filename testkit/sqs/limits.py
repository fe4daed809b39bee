"""The service's limits, and the checks that reject a request beyond them.

Sources: botocore's model `sqs/2012-11-05` (ranges, characters, batches) and the developer guide's pages on
message and queue quotas (1 MiB per message and per batch, 120,000 in flight).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from testkit.sqs import errors

MAX_BATCH_ENTRIES = 10
MAX_MESSAGE_BYTES = 1_048_576
MAX_VISIBILITY_SECONDS = 43_200
MAX_DELAY_SECONDS = 900
MAX_WAIT_SECONDS = 20
MAX_IN_FLIGHT = 120_000
PURGE_INTERVAL_SECONDS = 60
NAME_REUSE_SECONDS = 60
"""How long the name of a deleted queue cannot be reused."""

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FORBIDDEN_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entry(Protocol):
    """The common part of all batch entries."""

    @property
    def id(self) -> str:
        """The entry's id, unique within its request."""


def check_batch(entries: Sequence[Entry]) -> None:
    """Reject a batch that is empty, has too many entries, or has invalid ids.

    Raises:
        errors.RejectedError: for the whole request; no entry has had an effect.
    """
    if not entries:
        raise errors.EMPTY_BATCH.because("There should be at least one entry in the request.")
    if len(entries) > MAX_BATCH_ENTRIES:
        raise errors.TOO_MANY_ENTRIES.because(
            f"A request takes at most {MAX_BATCH_ENTRIES} entries; this one has {len(entries)}."
        )
    ids = {entry.id for entry in entries}
    if not all(map(_ENTRY_ID.fullmatch, ids)):
        raise errors.INVALID_ENTRY_ID.because(
            "An entry id has 1 to 80 characters: letters, digits, hyphens and underscores."
        )
    if len(ids) < len(entries):
        raise errors.ENTRY_IDS_NOT_DISTINCT.because("Two entries of the request have the same id.")


def check_batch_bytes(bodies: Iterable[str]) -> None:
    """Reject a batch whose bodies together exceed the size limit of one message.

    Raises:
        errors.RejectedError: BatchRequestTooLong.
    """
    total = sum(map(size_bytes, bodies))
    if total > MAX_MESSAGE_BYTES:
        raise errors.BATCH_TOO_LONG.because(
            f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {total} bytes."
        )


def size_bytes(body: str) -> int:
    """The length of the body in UTF-8."""
    return len(body) if body.isascii() else len(body.encode())


def check_body(body: str, max_bytes: int) -> None:
    """Reject a body that is empty, too long, or has a character that XML 1.0 does not allow.

    Raises:
        errors.RejectedError: MissingParameter, InvalidParameterValue or InvalidMessageContents.
    """
    if not body:
        raise errors.MISSING_PARAMETER.because("The request must contain the parameter MessageBody.")
    if size_bytes(body) > max_bytes:
        raise errors.INVALID_PARAMETER.because(
            f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
        )
    # Most bodies are printable ASCII: two scans in C avoid the slow regular expression.
    if not (body.isascii() and body.isprintable()) and _FORBIDDEN_CHARACTER.search(body):
        raise errors.INVALID_MESSAGE_CONTENTS.because(
            "The body holds a character outside #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
            "#x10000 to #x10FFFF."
        )


def check_range(parameter: str, value: int, low: int, high: int) -> int:
    """Return the value if it is between both limits, inclusive.

    Raises:
        errors.RejectedError: InvalidParameterValue.
    """
    if low <= value <= high:
        return value
    raise errors.INVALID_PARAMETER.because(
        f"Value {value} for parameter {parameter} is invalid. Reason: Must be between {low} and {high}."
    )


def check_queue_name(name: str) -> None:
    """Reject a name that no standard queue can have.

    Raises:
        errors.RejectedError: InvalidParameterValue, or UnsupportedOperation for a FIFO queue.
    """
    if name.endswith(".fifo"):
        raise errors.UNSUPPORTED_OPERATION.because(
            "This SQS emulator has standard queues only; FIFO queues are not implemented."
        )
    if not _QUEUE_NAME.fullmatch(name):
        raise errors.INVALID_PARAMETER.because(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
