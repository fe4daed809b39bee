"""One queue without I/O: the time is an argument, deadlines are data.

Every message is delayed, visible, in flight or gone, and changes between these states at constant cost:

    send ──▶ delayed ──due──▶ visible ──receive──▶ in flight ──delete──▶ gone
                                 ▲                     │
                                 └── due, or set to 0 ─┘        visible ──maxReceiveCount exceeded──▶ dead letter

`now` is in Unix seconds everywhere and must never go back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from testkit.sqs import errors, limits
from testkit.sqs.attributes import QueueAttributes
from testkit.sqs.backlog import Backlog
from testkit.sqs.deadlines import Deadlines
from testkit.sqs.message import (
    Counts,
    HandleStamp,
    StoredMessage,
    Taken,
    md5_hex,
    milliseconds,
    new_message_id,
)

DeletionListener: TypeAlias = Callable[[str, str, float], None]
"""Called with queue name, message id and Unix seconds for every deletion that took effect."""


class Queue:
    """The messages of one queue."""

    def __init__(
        self,
        name: str,
        attributes: QueueAttributes,
        *,
        in_flight_limit: int = limits.MAX_IN_FLIGHT,
        on_delete: DeletionListener | None = None,
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.backlog: Backlog | None = None
        self._on_delete = on_delete
        self.in_flight_limit = in_flight_limit
        self._stamp = HandleStamp()
        self.handle_of = self._stamp.handle
        """The receipt handle of a message's last receive."""
        self._messages: dict[int, StoredMessage] = {}
        self._last_number = 0
        # A message deleted while visible stays in the deque as a void entry, which `_next_visible` skips.
        self._visible: deque[StoredMessage] = deque()
        self._visible_voids = 0
        self._in_flight = Deadlines("in_flight")
        self._delayed = Deadlines("delayed")
        self._next_due = math.inf
        """No deadline is earlier than this: until then `advance` has nothing to do."""

    def send(
        self, body: str, now: float, *, delay_seconds: int | None = None, group_id: str | None = None
    ) -> StoredMessage:
        """Add a new message; the caller has validated the body."""
        delay = self.attributes.delay_seconds if delay_seconds is None else delay_seconds
        message = self._enter(StoredMessage(0, new_message_id(), body, md5_hex(body), milliseconds(now), group_id))
        if delay > 0:
            self._set_deadline(self._delayed, message, now + delay)
        else:
            self._make_visible(message)
        return message

    def accept(self, letter: StoredMessage, source_arn: str) -> StoredMessage:
        """Add a dead letter of another queue; it keeps its id, send time and receive count."""
        message = StoredMessage(
            0, letter.message_id, letter.body, letter.body_md5, letter.sent_at, letter.group_id, source_arn
        )
        message.receive_count = letter.receive_count
        self._make_visible(self._enter(message))
        return message

    def take(self, limit: int, now: float) -> list[StoredMessage]:
        """Remove at most `limit` visible messages."""
        self.advance(now)
        taken: list[StoredMessage] = []
        while len(taken) < limit and (message := self._next_visible(limit, now)):
            del self._messages[message.number]
            taken.append(message)
        return taken

    def receive(self, limit: int, visibility_seconds: int, now: float) -> Taken:
        """Receive at most `limit` messages; they are invisible for the given time."""
        self.advance(now)
        taken = Taken([], [])
        moment, deadline = milliseconds(now), now + visibility_seconds
        max_receives = self.attributes.max_receive_count
        limit = min(limit, self.in_flight_limit - len(self._in_flight))
        while len(taken.received) < limit and (message := self._next_visible(limit, now)):
            if message.receives_here >= max_receives:
                del self._messages[message.number]
                taken.dead.append(message)
                continue
            message.receive_count += 1
            message.receives_here += 1
            message.received_at = now
            message.first_received_at = message.first_received_at or moment
            self._in_flight.add(message, deadline)
            taken.received.append(message)
        self._next_due = min(self._next_due, deadline)
        self.advance(now)
        return taken

    def is_over_limit(self, now: float) -> bool:
        """Whether the in-flight limit is reached."""
        self.advance(now)
        return len(self._in_flight) >= self.in_flight_limit

    def delete(self, handle: str, now: float) -> None:
        """Delete the message by the handle of its last receive; an older handle has no effect and is no error.

        Raises:
            errors.RejectedError: ReceiptHandleIsInvalid, if the handle is not of this queue.
        """
        self.advance(now)
        message = self._named_by(handle)
        if message is None:
            return
        match message.state:
            case "in_flight":
                self._in_flight.remove(message)
            case "delayed":  # it was postponed, and its last handle is that of an earlier receive
                self._delayed.remove(message)
            case _:
                message.state = "gone"
                self._visible_voids += 1
        del self._messages[message.number]
        message.body = ""
        if self._on_delete:
            self._on_delete(self.name, message.message_id, now)

    def change_visibility(self, handle: str, visibility_seconds: int, now: float) -> None:
        """Set the remaining visibility timeout of the message; zero makes it visible at once.

        Raises:
            errors.RejectedError: ReceiptHandleIsInvalid; InvalidParameterValue, if the message is gone, was received
                again, or would be invisible for more than twelve hours; MessageNotInflight, if it is visible.
        """
        self.advance(now)
        message = self._named_by(handle)
        if message is None:
            raise errors.INVALID_PARAMETER.because(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is "
                "not available for visibility timeout change."
            )
        if message.state != "in_flight":
            raise errors.MESSAGE_NOT_IN_FLIGHT.because("The message is not in flight: its timeout is over.")
        if now + visibility_seconds > message.received_at + limits.MAX_VISIBILITY_SECONDS:
            raise errors.INVALID_PARAMETER.because(
                f"Value {visibility_seconds} for parameter VisibilityTimeout is invalid. Reason: Total "
                f"VisibilityTimeout for the message is beyond the limit [{limits.MAX_VISIBILITY_SECONDS} seconds]"
            )
        self._in_flight.remove(message)
        self._set_deadline(self._in_flight, message, now + visibility_seconds)
        self.advance(now)

    def postpone(self, message: StoredMessage, until: float) -> None:
        """Undo a receive that was not delivered: the message becomes visible later, and the receive is not counted."""
        self._in_flight.remove(message)
        message.receive_count -= 1
        message.receives_here -= 1
        self._set_deadline(self._delayed, message, until)

    def expire(self) -> None:
        """End every visibility timeout now."""
        for message in self._in_flight.clear():
            self._make_visible(message)

    def purge(self) -> None:
        """Drop every message in any state, and the backlog."""
        for message in (*self._visible, *self._in_flight.clear(), *self._delayed.clear()):
            message.state = "gone"
        self._visible.clear()
        self._visible_voids = 0
        self._messages.clear()
        self.backlog = None

    def advance(self, now: float) -> None:
        """Make visible every message whose deadline has passed."""
        if now < self._next_due:
            return
        for deadlines in (self._delayed, self._in_flight):
            for message in deadlines.due(now):
                self._make_visible(message)
        moments = (self._delayed.next(), self._in_flight.next())
        self._next_due = min((moment for moment in moments if moment is not None), default=math.inf)

    def counts(self, now: float) -> Counts:
        """The exact number of messages in each state now."""
        self.advance(now)
        waiting = self.backlog.available(now) if self.backlog else 0
        return Counts(len(self._visible) - self._visible_voids + waiting, len(self._in_flight), len(self._delayed))

    def has_visible(self, now: float) -> bool:
        """Whether a receive would deliver a message now."""
        counts = self.counts(now)
        return counts.visible > 0 and counts.in_flight < self.in_flight_limit

    def next_change(self, now: float) -> float | None:
        """When the next message becomes visible by itself (Unix seconds); None if none does."""
        arrival = self.backlog.next_arrival(now) if self.backlog else None
        moments = (self._delayed.next(), self._in_flight.next(), arrival)
        return min((moment for moment in moments if moment is not None), default=None)

    def messages(self) -> Iterator[StoredMessage]:
        """Every message that is not gone, in the order of arrival."""
        return iter(self._messages.values())

    def _enter(self, message: StoredMessage) -> StoredMessage:
        self._last_number += 1
        message.number = self._last_number
        self._messages[message.number] = message
        return message

    def _set_deadline(self, deadlines: Deadlines, message: StoredMessage, deadline: float) -> None:
        deadlines.add(message, deadline)
        self._next_due = min(self._next_due, deadline)

    def _make_visible(self, message: StoredMessage) -> None:
        message.state = "visible"
        self._visible.append(message)

    def _next_visible(self, limit: int, now: float) -> StoredMessage | None:
        while self._visible:
            message = self._visible.popleft()
            if message.state == "visible":
                return message
            self._visible_voids -= 1
        for body, sent_at in self.backlog.take(limit, now) if self.backlog else ():
            self._make_visible(
                self._enter(StoredMessage(0, new_message_id(), body, md5_hex(body), milliseconds(sent_at)))
            )
        return self._visible.popleft() if self._visible else None

    def _named_by(self, handle: str) -> StoredMessage | None:
        named = self._stamp.read(handle)
        if named is None or not 0 < named[0] <= self._last_number or named[1] < 1:
            raise errors.RECEIPT_HANDLE_IS_INVALID.because(
                f'The input receipt handle "{handle}" is not a valid receipt handle.'
            )
        message = self._messages.get(named[0])
        return message if message is not None and message.receives_here == named[1] else None
