"""The steps of a batch's plan, and the evidence that decides between them. Pure data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from subscriber.errors import StoreError
from subscriber.events.order import fold
from subscriber.model import Delivery, ObjectEvent, Rejection


class Evidence(msgspec.Struct, frozen=True):
    """How often something was seen to work so far; the counters only grow."""

    writes: int = 0
    """Statements that stored rows, a message's own rows after it was found to be poison apart."""
    comparisons: int = 0
    """Rows of our own that were written and rolled back, made only while nothing else could tell."""
    probes: int = 0
    """Probes of the circuit breaker that the database answered."""

    def clears_database_since(self, before: Evidence) -> bool:
        """Whether the database took a row since `before`: a failure from then on is not its own."""
        return self.writes > before.writes or self.comparisons > before.comparisons


class StoreRows(msgspec.Struct, frozen=True):
    """Store these rows in one statement."""

    deliveries: Sequence[Delivery]
    rows: Sequence[ObjectEvent]
    limit_seconds: float = math.inf
    """The longest that the statement may take, below the write timeout."""
    tries: int = 0
    """How often this very part has failed as it is."""
    tried: Evidence | None = None
    """What had been seen to work when it was tried last."""
    due: float = -math.inf
    """When it may be tried, by the caller's clock."""
    is_evidence: bool = True
    """Whether success says something about other messages."""
    looks_for_row: bool = False
    """Whether this is one row of a message that failed alone: which of them is it?"""
    is_trial: bool = False
    """Whether these messages were set apart because of a row that has failed before."""
    is_suspect: bool = False
    """Whether this is a message that failed alone, once more."""


class FindLockedRows(msgspec.Struct, frozen=True):
    """Ask which rows of a part other sessions keep locked."""

    part: StoreRows
    """It waited for its whole time; its limit is that of the question as well."""
    error: StoreError
    """How it ended."""


class QuarantineBodies(msgspec.Struct, frozen=True):
    """Commit these bodies, with their reasons, in one statement."""

    entries: Sequence[tuple[Delivery, Rejection]]
    tries: int = 0
    due: float = -math.inf
    seen: Evidence | None = None
    """What had been seen to work when it failed first."""


class Wait(msgspec.Struct, frozen=True):
    """Nothing can be tried now."""

    until: float
    """When something is due at the latest, by the caller's clock."""
    is_for_evidence: bool
    """Whether only suspects are left: new evidence, too, makes them due."""


Step: TypeAlias = StoreRows | FindLockedRows | QuarantineBodies | Wait


class Note(msgspec.Struct, frozen=True):
    """Something that was found out about messages, for the log."""

    deliveries: Sequence[Delivery]
    error: StoreError
    is_poison: bool
    """False: the quarantine keeps failing to store their bodies."""


class Suspect(msgspec.Struct, frozen=True):
    """A message that failed alone."""

    delivery: Delivery
    limit_seconds: float
    seen: Evidence
    """What had been seen to work when it failed alone first."""
    tried: Evidence
    """… and when it was tried last."""
    due: float
    tries: int = 1

    def may_be_tried(self, now: float, evidence: Evidence) -> bool:
        """Whether another try could tell more than the last one did."""
        return now >= self.due and (evidence != self.tried or evidence.clears_database_since(self.seen))


def halves(part: StoreRows) -> tuple[StoreRows, StoreRows]:
    """Two halves, folded anew: a version whose newest row is in the other half may have an older one here."""
    middle = len(part.deliveries) // 2
    limit = part.limit_seconds
    return part_of(part.deliveries[:middle], limit), part_of(part.deliveries[middle:], limit)


def part_of(deliveries: Sequence[Delivery], limit_seconds: float = math.inf) -> StoreRows:
    """One statement for all rows of `deliveries`."""
    rows = fold(event for delivery in deliveries for event in delivery.events)
    return StoreRows(deliveries, rows, limit_seconds)


def limit_after_failure(part: StoreRows, statement_seconds: float) -> float:
    """The time of each statement that looks for the row: all levels of halving together take one more statement."""
    if part.limit_seconds < math.inf:
        return part.limit_seconds
    return statement_seconds / (len(part.deliveries).bit_length() + 1)
