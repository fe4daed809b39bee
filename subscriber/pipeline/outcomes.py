"""What has become of a batch's deliveries while the write room is at work on them. Pure bookkeeping, no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from subscriber.events.order import fold
from subscriber.model import Delivery, Message, ObjectEvent, Receipt, Rejection


class Part(msgspec.Struct, frozen=True):
    """Some deliveries of a batch, and the fold of their events: what one statement tries."""

    deliveries: Sequence[Delivery]
    rows: Sequence[ObjectEvent]
    rejections: int = 0
    """How often it was refused as it is."""


def part_of(deliveries: Sequence[Delivery]) -> Part:
    """These, folded anew: a version whose newest row is not among them may have an older one that is."""
    return Part(deliveries, fold(event for delivery in deliveries for event in delivery.events))


def halves(deliveries: Sequence[Delivery]) -> tuple[Part, Part]:
    """Two halves of `deliveries`."""
    middle = len(deliveries) // 2
    return part_of(deliveries[:middle]), part_of(deliveries[middle:])


def is_lost(message: Message, now: float) -> bool:
    """Whether `message` is no longer ours at `now`, by the loop's clock: others may have it."""
    return now >= message.lease.expires_at or message.receipt_handle in message.lease.expired


def is_gone(message: Message, now: float) -> bool:
    """Whether it is lost for good: what is being handed back may be refused, and is then to be handed back again."""
    return is_lost(message, now) and message.receipt_handle not in message.lease.releasing


def still_ours(part: Part, now: float) -> Part:
    """What is left of `part` when the lost ones are dropped: they come again, here or elsewhere."""
    kept = [delivery for delivery in part.deliveries if not is_lost(delivery.message, now)]
    return part if len(kept) == len(part.deliveries) else part_of(kept)


def held_until(deliveries: Iterable[Delivery]) -> float:
    """When the last of these is handed back, by the loop's clock: then nothing is left to be tried."""
    return max((delivery.message.lease.held_until for delivery in deliveries), default=math.inf)


class BatchOutcome:
    """What has become of the deliveries of one batch so far. What is not settled at the end is *returned*, or lost.

    Args:
        deliveries: of the batch.
        successes: how many writes of rows the database had taken before.
    """

    def __init__(self, deliveries: Sequence[Delivery], successes: int = 0) -> None:
        self._deliveries = deliveries
        self._successes_before = successes
        self._stored: set[str] = set()
        self._rejections: dict[str, Rejection] = {}
        self._failed: dict[str, str] = {}
        self._refused_alone: dict[str, int] = {}
        self._not_kept: set[str] = set()

    @property
    def open(self) -> int:
        """Of how many something is not committed yet, by no fault of their own."""
        return sum(
            not self._is_committed(delivery) and delivery.message.receipt_handle not in self._failed
            for delivery in self._deliveries
        )

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        """Every row of `deliveries` that can be stored is committed."""
        self._stored.update(delivery.message.receipt_handle for delivery in deliveries)

    def quarantined(self, delivery: Delivery, rejection: Rejection) -> None:
        """The body of `delivery` is committed."""
        self._rejections[delivery.message.receipt_handle] = rejection

    def failed(self, delivery: Delivery, reason: str) -> None:
        """Neither index nor quarantine takes `delivery`, and that is its own fault."""
        self._failed[delivery.message.receipt_handle] = reason

    def is_quarantined(self, delivery: Delivery) -> bool:
        """Whether the body of `delivery` is committed."""
        return delivery.message.receipt_handle in self._rejections

    def is_poison(self, delivery: Delivery, successes: int) -> bool:
        """Whether `delivery`, which was refused alone just now, was so before, with other writes taken since.

        Args:
            delivery: the only one of its part.
            successes: how many writes the database has taken so far, of this batch or any other.
        """
        return successes > self._refused_alone.setdefault(delivery.message.receipt_handle, successes)

    def quarantine_keeps_failing(self, bad: Iterable[Delivery], successes: int) -> bool:
        """Whether `bad`, which the quarantine refused just now, were refused by it before, with rows taken meanwhile.

        Args:
            bad: messages that are no rows, or hold one that cannot be stored.
            successes: how many writes of rows the database has taken so far, of this batch or any other.
        """
        handles = {delivery.message.receipt_handle for delivery in bad}
        is_again = handles <= self._not_kept
        self._not_kept |= handles
        return is_again and successes > self._successes_before

    def receipts(self, now: float) -> tuple[Receipt, ...]:
        """One for each delivery."""
        return tuple(self._receipt(delivery, now) for delivery in self._deliveries)

    def _receipt(self, delivery: Delivery, now: float) -> Receipt:
        message, handle = delivery.message, delivery.message.receipt_handle
        if handle not in self._failed and self._is_committed(delivery):
            if rejection := self._rejections.get(handle):
                return Receipt(message=message, verdict="quarantined", reason=rejection.reason)
            return Receipt(message=message, verdict="stored")
        if is_gone(message, now):
            return Receipt(message=message, verdict="expired")
        if handle in self._failed:
            return Receipt(message=message, verdict="retry_later", reason=self._failed[handle])
        return Receipt(message=message, verdict="released")

    def _is_committed(self, delivery: Delivery) -> bool:
        """Rows and, where there is a rejection, the body: one without the other is not enough."""
        return delivery.message.receipt_handle in self._stored and (
            delivery.rejection is None or self.is_quarantined(delivery)
        )
