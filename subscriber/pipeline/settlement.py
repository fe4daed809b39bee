"""What has become of a batch's deliveries while the write room is at work on them. Pure bookkeeping, no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

from subscriber.events.order import fold
from subscriber.model import Batch, Delivery, ObjectEvent, Receipt, Refusal

LEASE_RESERVE_SECONDS = 5.0
"""Kept of a lease for telling the queue what has become of its messages."""


def deadline_of(batch: Batch, started: float, deadline_seconds: float) -> float:
    """When `batch` is given up, by the loop's clock: in time for hiding its messages while they are still ours."""
    lease_ends = min((delivery.message.lease.expires_at for delivery in batch.deliveries), default=math.inf)
    return min(started + deadline_seconds, lease_ends - LEASE_RESERVE_SECONDS)


def halves(deliveries: Sequence[Delivery]) -> tuple[tuple[Sequence[Delivery], Sequence[ObjectEvent]], ...]:
    """Two halves of `deliveries`, each folded anew: a version whose newest row was bad may have a good older one."""
    middle = len(deliveries) // 2
    parts = (deliveries[:middle], deliveries[middle:])
    return tuple((part, fold(event for delivery in part for event in delivery.events)) for part in parts)


class Settlement:
    """What has become of the deliveries of one batch so far. Until all of it is committed, it is *failed*."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._deliveries = deliveries
        self._stored: set[str] = set()
        self._refusals: dict[str, Refusal] = {}
        self.reason = "gave_up"
        """Why the unsettled ones failed."""

    @property
    def open(self) -> int:
        """How many have nothing committed yet."""
        return len(self._deliveries) - len(self._stored)

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        """Every row of `deliveries` that can be stored is committed."""
        self._stored.update(delivery.message.receipt_handle for delivery in deliveries)

    def quarantined(self, delivery: Delivery, refusal: Refusal) -> None:
        """The body of `delivery` is committed."""
        self._refusals[delivery.message.receipt_handle] = refusal

    def is_quarantined(self, delivery: Delivery) -> bool:
        """Whether the body of `delivery` is committed."""
        return delivery.message.receipt_handle in self._refusals

    def receipts(self) -> tuple[Receipt, ...]:
        """One for each delivery."""
        return tuple(self._receipt(delivery) for delivery in self._deliveries)

    def _receipt(self, delivery: Delivery) -> Receipt:
        handle = delivery.message.receipt_handle
        refusal = self._refusals.get(handle)
        if handle not in self._stored or (delivery.refusal and not refusal):
            return Receipt(message=delivery.message, verdict="failed", reason=self.reason)
        if refusal:
            return Receipt(message=delivery.message, verdict="quarantined", reason=refusal.reason)
        return Receipt(message=delivery.message, verdict="stored")
