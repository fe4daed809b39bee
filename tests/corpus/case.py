"""One body of the corpus, with its expected result.

Every case has a bucket of its own, named after the case unless the bucket's name is the subject of the case. Thus no
two cases are about the same object version, and the expected table is the union of all cases.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from subscriber.model import ObjectEvent
from tests.events.samples import ABSENT, EXPECTED, body, record

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that SQS rejects in a body (SendMessage, "Message contents")."""

MESSAGE_BYTES_AT_MOST = 1_048_576
"""The size limit of SQS (SQS developer guide, "Message quotas")."""


class Case(msgspec.Struct, frozen=True):
    """A body and its expected result."""

    name: str
    body: str
    events: tuple[ObjectEvent, ...] = ()
    """Every event in the body, in order."""
    reason: str | None = None
    """The reason of rejection; None if the body is not quarantined."""
    ignored: tuple[str, ...] = ()
    """Labels of the events without an effect on the index."""

    @property
    def is_sendable(self) -> bool:
        """Whether SQS would accept it; other services with its protocol may accept and deliver more."""
        if not self.body or _NO_XML.search(self.body):
            return False
        return len(self.body.encode()) <= MESSAGE_BYTES_AT_MOST


def meant(bucket: str, **changes: Any) -> ObjectEvent:
    """The event of an ordinary record of `bucket`, with `changes`."""
    return msgspec.structs.replace(EXPECTED, bucket=bucket, **changes)


def stored(name: str, means: dict[str, Any] | None = None, **changed: Any) -> Case:
    """A case of one record with `changed` fields, whose event differs from the ordinary one by `means`."""
    bucket = changed.pop("bucket", name)
    event = meant(bucket, **(means or {}))
    return Case(name, body(record(bucket=bucket, **changed)), (event,))


def rejected(name: str, reason: str, **changed: Any) -> Case:
    """A case of one record with `changed` fields that cannot become a row."""
    bucket = changed.pop("bucket", name)
    return Case(name, body(record(bucket=bucket, **changed)), reason=reason)


def with_literal(name: str, field: str, literal: str) -> str:
    """The body of one record whose `field` has a JSON literal that Python's encoder would not write."""
    return body(record(bucket=name, **{field: "@@"})).replace('"@@"', literal)


def without(name: str, *fields: str) -> str:
    """The body of one record without `fields`."""
    return body(record(bucket=name, **dict.fromkeys(fields, ABSENT)))


def as_json(value: object) -> str:
    """Any value as a JSON body."""
    return json.dumps(value)
