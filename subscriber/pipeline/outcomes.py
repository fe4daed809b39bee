"""The outcome of each delivery of a batch while the write stage works on it. Pure bookkeeping, no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from subscriber.events.order import fold
from subscriber.model import Delivery, Message, ObjectEvent, Receipt, Rejection


class Part(msgspec.Struct, frozen=True):
    """Some deliveries of a batch and the fold of their events: what one statement tries."""

    deliveries: Sequence[Delivery]
    rows: Sequence[ObjectEvent]
    failures: int = 0
    """How often this very part has failed."""


def part_of(deliveries: Sequence[Delivery]) -> Part:
    """These deliveries, folded again: without the newest row of a version an older one counts."""
    return Part(deliveries, fold(event for delivery in deliveries for event in delivery.events))


def halves(deliveries: Sequence[Delivery]) -> tuple[Part, Part]:
    """Two halves of `deliveries`."""
    middle = len(deliveries) // 2
    return part_of(deliveries[:middle]), part_of(deliveries[middle:])


def is_expired(message: Message, now: float) -> bool:
    """Whether the lease of `message` is over or its release is under way at `now`, on the loop's clock."""
    return now >= message.lease.expires_at or message.receipt_handle in message.lease.expired


def is_expired_for_good(message: Message, now: float) -> bool:
    """Whether it is expired and no release is under way: a release that fails makes the message ours again."""
    return is_expired(message, now) and message.receipt_handle not in message.lease.releasing


def without_expired(part: Part, now: float) -> Part:
    """`part` without its expired messages, which SQS delivers again."""
    kept = [delivery for delivery in part.deliveries if not is_expired(delivery.message, now)]
    return part if len(kept) == len(part.deliveries) else part_of(kept)


def held_until(deliveries: Iterable[Delivery]) -> float:
    """When the last of these is released, on the loop's clock; after that there is nothing left to try."""
    return max((delivery.message.lease.held_until for delivery in deliveries), default=math.inf)


class BatchOutcome:
    """The outcome of each delivery of one batch so far. A delivery without one is *released* or *expired* at the end.

    Args:
        deliveries: of the batch.
        successes: how many writes of rows had succeeded before.
    """

    def __init__(self, deliveries: Sequence[Delivery], successes: int = 0) -> None:
        self._deliveries = deliveries
        self._successes_before = successes
        self._stored: set[str] = set()
        self._rejections: dict[str, Rejection] = {}
        self._failed: dict[str, str] = {}
        self._failed_alone: dict[str, int] = {}
        self._not_quarantined: set[str] = set()

    @property
    def undecided_count(self) -> int:
        """How many deliveries are neither committed nor failed."""
        return sum(
            not self._is_committed(delivery) and delivery.message.receipt_handle not in self._failed
            for delivery in self._deliveries
        )

    def record_stored(self, deliveries: Sequence[Delivery]) -> None:
        """Record that every storable row of `deliveries` is committed."""
        self._stored.update(delivery.message.receipt_handle for delivery in deliveries)

    def record_quarantined(self, delivery: Delivery, rejection: Rejection) -> None:
        """Record that the body of `delivery` is committed."""
        self._rejections[delivery.message.receipt_handle] = rejection

    def record_failed(self, delivery: Delivery, reason: str) -> None:
        """Record that neither the index nor the quarantine can store `delivery`, for a reason of its own."""
        self._failed[delivery.message.receipt_handle] = reason

    def is_quarantined(self, delivery: Delivery) -> bool:
        """Whether the body of `delivery` is committed."""
        return delivery.message.receipt_handle in self._rejections

    def record_failed_alone(self, delivery: Delivery, successes: int) -> bool:
        """Record that `delivery` failed alone; return whether it is poison.

        It is if it failed alone before and other writes have succeeded since.

        Args:
            delivery: the only one of its part.
            successes: writes of rows that have succeeded so far, of this batch or any other.
        """
        return successes > self._failed_alone.setdefault(delivery.message.receipt_handle, successes)

    def record_quarantine_failure(self, bad: Iterable[Delivery], successes: int) -> bool:
        """Record that the quarantine failed to store `bad`; return whether it did so before while rows were stored.

        Args:
            bad: messages that decode rejected, or that hold an unstorable row.
            successes: writes of rows that have succeeded so far, of this batch or any other.
        """
        handles = {delivery.message.receipt_handle for delivery in bad}
        is_again = handles <= self._not_quarantined
        self._not_quarantined |= handles
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
        if is_expired_for_good(message, now):
            return Receipt(message=message, verdict="expired")
        if handle in self._failed:
            return Receipt(message=message, verdict="retry_later", reason=self._failed[handle])
        return Receipt(message=message, verdict="released")

    def _is_committed(self, delivery: Delivery) -> bool:
        """Whether its rows and, after a rejection, its body are committed: one without the other is not enough."""
        return delivery.message.receipt_handle in self._stored and (
            delivery.rejection is None or self.is_quarantined(delivery)
        )
