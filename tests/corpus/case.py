"""One body of the corpus, and what must become of it.

Every case has a bucket of its own, named for the case unless the bucket's name is what the case is about. So no two
cases speak of the same object version, and the table that all of them lead to is the sum of what each says.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from subscriber.model import ObjectEvent
from tests.events.samples import ABSENT, EXPECTED, body, record

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS takes in no body (SendMessage, "Message contents")."""

MESSAGE_BYTES_AT_MOST = 1_048_576
"""What SQS takes at most (SQS developer guide, "Message quotas")."""


class Case(msgspec.Struct, frozen=True):
    """A body and its meaning."""

    name: str
    body: str
    events: tuple[ObjectEvent, ...] = ()
    """Every event in the body, in its order."""
    reason: str | None = None
    """Why it goes to the quarantine; None: it does not."""
    ignored: tuple[str, ...] = ()
    """Labels of what says nothing about existence."""

    @property
    def is_sendable(self) -> bool:
        """Whether SQS would take it. What it would not may still come from other services that speak its protocol."""
        if not self.body or _NO_XML.search(self.body):
            return False
        return len(self.body.encode()) <= MESSAGE_BYTES_AT_MOST


def meant(bucket: str, **changes: Any) -> ObjectEvent:
    """The event that an ordinary record of `bucket` means, but for `changes`."""
    return msgspec.structs.replace(EXPECTED, bucket=bucket, **changes)


def stored(name: str, means: dict[str, Any] | None = None, **told: Any) -> Case:
    """One record that differs from an ordinary one in what is `told`, and from its meaning in what it `means`."""
    bucket = told.pop("bucket", name)
    event = meant(bucket, **(means or {}))
    return Case(name, body(record(bucket=bucket, **told)), (event,))


def refused(name: str, reason: str, **told: Any) -> Case:
    """One record that differs from an ordinary one in what is `told`, and cannot become a row."""
    bucket = told.pop("bucket", name)
    return Case(name, body(record(bucket=bucket, **told)), reason=reason)


def with_literal(name: str, field: str, literal: str) -> str:
    """The body of one record whose `field` has a value that Python's JSON would not write."""
    return body(record(bucket=name, **{field: "@@"})).replace('"@@"', literal)


def without(name: str, *fields: str) -> str:
    """The body of one record that lacks `fields`."""
    return body(record(bucket=name, **dict.fromkeys(fields, ABSENT)))


def as_json(value: object) -> str:
    """Any other body."""
    return json.dumps(value)
