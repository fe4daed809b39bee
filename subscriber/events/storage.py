"""What a record says beside the content: how a version is stored, and who made the request. Pure.

The parts of a record stay undecoded until they are needed, so a part of an unexpected form costs nothing but itself: it
says nothing. None of it may reject a record.

| event | part of the record (S3 user guide, "Event message structure") |
| --- | --- |
| `LifecycleTransition` | `lifecycleEventData.transitionEventData.destinationStorageClass` |
| `IntelligentTiering` | `intelligentTieringEventData.destinationAccessTier` |
| `ObjectRestore:Completed` | `glacierEventData.restoreEventData.lifecycleRestorationExpiryTime` |
| `ObjectRestore:Delete` | its name alone |
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from subscriber.events.event_time import read_event_time
from subscriber.events.key import is_storable

MAX_WORD_BYTES: Final = 64
"""Of a storage class or tier; the longest that S3 has is INTELLIGENT_TIERING with 19."""
MAX_TEXT_BYTES: Final = 1024
"""Of a principal, an address or the id of a request; longer ones are dropped."""
TIERED: Final = "INTELLIGENT_TIERING"

Storage: TypeAlias = tuple[str | None, str | None, datetime | None]
"""Storage class, access tier, and until when the restored copy stays."""


class Aside(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The parts of a record that say more than its content; absent ones are empty."""

    user_identity: msgspec.Raw = msgspec.Raw()
    request_parameters: msgspec.Raw = msgspec.Raw()
    response_elements: msgspec.Raw = msgspec.Raw()
    lifecycle_event_data: msgspec.Raw = msgspec.Raw()
    intelligent_tiering_event_data: msgspec.Raw = msgspec.Raw()
    glacier_event_data: msgspec.Raw = msgspec.Raw()


def storage_of(name: str, aside: Aside) -> Storage | None:
    """What an event of names.STORAGE_FACTS says; None: nothing that is of use."""
    if name == "LifecycleTransition":
        word = _text(
            aside.lifecycle_event_data, "transitionEventData", "destinationStorageClass", at_most=MAX_WORD_BYTES
        )
        return None if word is None else (word, None, None)
    if name == "IntelligentTiering":
        tier = _text(aside.intelligent_tiering_event_data, "destinationAccessTier", at_most=MAX_WORD_BYTES)
        return None if tier is None else (TIERED, tier, None)
    if name == "ObjectRestore:Delete":
        return None, None, None
    until = _text(
        aside.glacier_event_data, "restoreEventData", "lifecycleRestorationExpiryTime", at_most=MAX_WORD_BYTES
    )
    moment = None if until is None else read_event_time(until)
    return None if moment is None else (None, None, moment)


def request_of(aside: Aside) -> tuple[str | None, str | None, str | None]:
    """Who made the request, from which address, and the id of the request."""
    return (
        _text(aside.user_identity, "principalId"),
        _text(aside.request_parameters, "sourceIPAddress"),
        _text(aside.response_elements, "x-amz-request-id"),
    )


def nested(text: msgspec.Raw, *names: str) -> msgspec.Raw:
    """A value under these names, the outermost first, as JSON; empty for an absent value."""
    written = bytes(text)
    for name in reversed(names if written else ()):
        written = b'{"%b":%b}' % (name.encode(), written)
    return msgspec.Raw(written)


def _text(part: msgspec.Raw, *names: str, at_most: int = MAX_TEXT_BYTES) -> str | None:
    if not bytes(part):
        return None
    try:
        value: Any = msgspec.json.decode(part)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value and is_storable(value, at_most) else None
