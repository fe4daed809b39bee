"""A message while the queue has it, and the handle by which a receiver names it."""

from __future__ import annotations

import hashlib
import random
import secrets
from typing import Literal, TypeAlias

import msgspec

Place: TypeAlias = Literal["delayed", "visible", "in_flight", "gone"]
"""Where a message is; each is in exactly one place. `gone` is deleted, purged or moved to another queue."""

_MAX_RECEIVES = 2**32
_PREFIX_CHARACTERS = 300
"""Real handles run to some hundreds of characters; a load that echoes them should cost what it costs there."""


class StoredMessage(msgspec.Struct, gc=False):
    """One message of one queue. Only the queue changes it."""

    number: int
    """Counts the messages of this queue: the handle names it."""
    message_id: str
    body: str
    body_md5: str
    sent_at: str
    """Unix milliseconds as text, as receivers are told: made once, told often."""
    group_id: str | None = None
    source_arn: str | None = None
    """The queue a dead letter came from."""
    receive_count: int = 0
    """Over all queues it was in, as the service counts."""
    receives_here: int = 0
    """In this queue: what its redrive policy looks at, and what the newest handle carries."""
    received_at: float = 0.0
    """Unix seconds of the newest receive."""
    first_received_at: str = ""
    """Unix milliseconds, as text, of the first receive in this queue."""
    ticket: int = 0
    """Its entry among the deadlines, while it is delayed or in flight."""
    place: Place = "gone"


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many messages are where."""

    visible: int
    in_flight: int
    delayed: int


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What one receive brought, and which messages had used up their receives and belong elsewhere now."""

    received: list[StoredMessage]
    dead: list[StoredMessage]


class HandleStamp:
    """Makes the receipt handles of one queue and reads them again.

    A handle names the message and which of its receives it stands for. It is sealed by a prefix nobody can
    guess: handles of another queue, or made up, are known at once.
    """

    def __init__(self) -> None:
        self._prefix = "AQEB" + secrets.token_urlsafe(_PREFIX_CHARACTERS * 3 // 4)

    def handle(self, message: StoredMessage) -> str:
        """The handle of the message's newest receive."""
        return f"{self._prefix}{message.number * _MAX_RECEIVES + message.receives_here}"

    def read(self, handle: str) -> tuple[int, int] | None:
        """The message's number and the count of the receive, or None if the handle is not ours."""
        if not handle.startswith(self._prefix):
            return None
        try:
            return divmod(int(handle[len(self._prefix) :]), _MAX_RECEIVES)
        except ValueError:
            return None


def new_message_id() -> str:
    """A random UUID, made without the objects of `uuid`: it is asked for with every message."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def milliseconds(unix_seconds: float) -> str:
    """The moment as the service tells it."""
    return str(int(unix_seconds * 1_000))


def md5_hex(body: str) -> str:
    """The digest the service gives back with a body."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
