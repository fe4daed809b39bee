"""What the governor remembers of late: the work that was in force, and the least of a quantity. Pure, bounded.

A sensor speaks of the past. To judge its reading one has to know what we were doing then, so each second of work
is kept until no sensor can ask for it any more.
"""

from __future__ import annotations

import math

import msgspec

REMEMBERED_SECONDS = 600.0
"""How far back work is known: four times the age of CloudWatch's newest minute when it is published late."""

REMEMBERED_AT_MOST = 700
"""Entries, should somebody read more often than once a second."""

LEAST_HOLDS_SECONDS = 300.0
"""A least is forgotten after one to two times this, three where samples are rare: a larger table, or a smaller
instance, is the new normal."""


class Work(msgspec.Struct, frozen=True):
    """What we did between one reading and the next."""

    ended_at: float
    """Seconds of the event loop's clock."""
    seconds: float
    """Length."""
    used: float
    """Writes at work on average."""
    expected: float
    """How many the gate lets through on average in the long run, if batches wait for it."""
    limit: float
    rows_per_second: float


class Span(msgspec.Struct, frozen=True):
    """The mean of the work inside a window of the past."""

    used: float
    expected: float
    limit: float
    rows_per_second: float


def remembered(past: tuple[Work, ...], newest: Work) -> tuple[Work, ...]:
    """The past with one entry more, and without what is too old to be asked for."""
    horizon = newest.ended_at - REMEMBERED_SECONDS
    first = 0
    while first < len(past) and (past[first].ended_at <= horizon or len(past) - first >= REMEMBERED_AT_MOST):
        first += 1
    return (*past[first:], newest)


def work_between(past: tuple[Work, ...], begin: float, end: float) -> Span | None:
    """The mean work from `begin` to `end` (loop's clock); None where less than half of that time is remembered.

    Entries count by their overlap with the window, so that a window may begin and end anywhere.
    """
    known = used = expected = limit = rows = 0.0
    for work in reversed(past):
        if work.ended_at <= begin:
            break
        overlap = min(end, work.ended_at) - max(begin, work.ended_at - work.seconds)
        if overlap > 0:
            known += overlap
            used += overlap * work.used
            expected += overlap * work.expected
            limit += overlap * work.limit
            rows += overlap * work.rows_per_second
    if known <= 0 or known < (end - begin) / 2:
        return None
    return Span(used / known, expected / known, limit / known, rows / known)


class LeastOfLate(msgspec.Struct, frozen=True):
    """A running minimum that forgets, in constant space: the least of this period and of the one before.

    The filter by which BBR keeps the round-trip time of an empty path (Cardwell et al., ACM Queue 14(5), 2016).
    """

    this: float = math.inf
    before: float = math.inf
    period_began_at: float = -math.inf

    @property
    def value(self) -> float:
        """The least; infinite while there is none."""
        return min(self.this, self.before)

    def with_sample(self, sample: float, now: float) -> LeastOfLate:
        """The same with one sample more, `now` in seconds of any steady clock."""
        age = now - self.period_began_at
        if age < LEAST_HOLDS_SECONDS:
            return LeastOfLate(min(self.this, sample), self.before, self.period_began_at)
        return LeastOfLate(sample, self.this if age < 2 * LEAST_HOLDS_SECONDS else math.inf, now)
