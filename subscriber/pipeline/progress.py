"""What has become of one message of a batch so far, and whether it is still ours. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from subscriber.model import Delivery, Message, ObjectEvent, Receipt, Rejection


def is_still_ours(message: Message, now: float) -> bool:
    """Whether `message` may be written at `now`, by the loop's clock; if not, other consumers may have it."""
    lease = message.lease
    return now < lease.expires_at and (not lease.expired or message.receipt_handle not in lease.expired)


def is_gone(message: Message, now: float) -> bool:
    """Whether it expired for good: a release under way may still fail, and is then to be repeated."""
    return not is_still_ours(message, now) and message.receipt_handle not in message.lease.releasing


def held_until(deliveries: Iterable[Delivery]) -> float:
    """When the last of these is released, by the loop's clock: then nothing is left to be tried."""
    return max((delivery.message.lease.held_until for delivery in deliveries), default=math.inf)


class Progress(msgspec.Struct):
    """What has become of one message so far."""

    delivery: Delivery
    needs_quarantine: bool
    """Whether its body is to be kept: decode rejected something of it, or it is poison."""
    rows_stored: bool = False
    quarantined: Rejection | None = None
    """Set once the body is committed."""
    failed: str | None = None
    """Why neither index nor quarantine takes it, and other messages are taken."""
    singles: Sequence[ObjectEvent] = ()
    """Rows of a poison message that are still to be tried one by one."""
    singles_tries: int = 0
    singles_due: float = -math.inf
    is_reported: bool = False

    @property
    def is_finished(self) -> bool:
        """Rows and, where there is a rejection, the body: one without the other is not enough."""
        is_committed = self.rows_stored and (self.quarantined is not None or not self.needs_quarantine)
        return self.failed is not None or is_committed

    def receipt(self, now: float) -> Receipt:
        """The message's receipt, were the work to end now."""
        message = self.delivery.message
        if self.failed is None and self.is_finished:
            if self.quarantined is not None:
                return Receipt(message=message, verdict="quarantined", reason=self.quarantined.reason)
            return Receipt(message=message, verdict="stored")
        if is_gone(message, now):
            return Receipt(message=message, verdict="expired")
        if self.failed is not None:
            return Receipt(message=message, verdict="retry_later", reason=self.failed)
        return Receipt(message=message, verdict="released")
