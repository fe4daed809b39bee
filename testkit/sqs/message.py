"""A message in the queue, and its receipt handles."""

from __future__ import annotations

import hashlib
import random
import secrets
from typing import Literal, TypeAlias

import msgspec

MessageState: TypeAlias = Literal["delayed", "visible", "in_flight", "gone"]
"""The state of a message; `gone` is deleted, purged or moved to another queue."""

_MAX_RECEIVES = 2**32
_PREFIX_CHARACTERS = 300
"""Real handles have some hundreds of characters; ours are as long, so that sending them back costs as much."""


class StoredMessage(msgspec.Struct, gc=False):
    """One message of one queue. Only the queue changes it."""

    number: int
    """Sequential number in this queue; the receipt handle contains it."""
    message_id: str
    body: str
    body_md5: str
    sent_at: str
    """Unix milliseconds as text, as receivers get it: formatted once, sent often."""
    group_id: str | None = None
    source_arn: str | None = None
    """The queue that a dead letter came from."""
    receive_count: int = 0
    """Receives in all queues it was in, as the service counts."""
    receives_here: int = 0
    """Receives in this queue: its redrive policy uses this count, and the newest handle contains it."""
    received_at: float = 0.0
    """Unix seconds of the last receive."""
    first_received_at: str = ""
    """Unix milliseconds, as text, of the first receive in this queue."""
    ticket: int = 0
    """The id of its entry in `Deadlines`, while it is delayed or in flight."""
    state: MessageState = "gone"


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many messages are in each state."""

    visible: int
    in_flight: int
    delayed: int


class Taken(msgspec.Struct, frozen=True, gc=False):
    """The result of one receive: the messages to deliver, and those that exceeded maxReceiveCount."""

    received: list[StoredMessage]
    dead: list[StoredMessage]


class HandleStamp:
    """Creates and parses the receipt handles of one queue.

    A handle contains the message's number and the count of the receive. Its random prefix is unique for the queue:
    a handle of another queue, or an invented one, is invalid.
    """

    def __init__(self) -> None:
        self._prefix = "AQEB" + secrets.token_urlsafe(_PREFIX_CHARACTERS * 3 // 4)

    def handle(self, message: StoredMessage) -> str:
        """The handle of the message's last receive."""
        return f"{self._prefix}{message.number * _MAX_RECEIVES + message.receives_here}"

    def read(self, handle: str) -> tuple[int, int] | None:
        """The message's number and the count of the receive, or None if the handle is not of this queue."""
        if not handle.startswith(self._prefix):
            return None
        try:
            return divmod(int(handle[len(self._prefix) :]), _MAX_RECEIVES)
        except ValueError:
            return None


def new_message_id() -> str:
    """A random UUID, formatted without the `uuid` module, which is slower: every message needs one."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def milliseconds(unix_seconds: float) -> str:
    """The time in milliseconds, as the service writes it."""
    return str(int(unix_seconds * 1_000))


def md5_hex(body: str) -> str:
    """The digest that the service returns with a body."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
