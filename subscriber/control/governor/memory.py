"""What the governor remembers of late: the work that was in force, and the least of a quantity. Pure, bounded.

A sensor speaks of the past. To judge its reading one has to know what we were doing then, so each second of work
is kept until no sensor can ask for it any more.

How long a row takes against the best of late: the one signal that is never late. Pure.

Time is judged by the row, for a bigger batch is no congestion; and a smaller one is none either, for part of a
statement's time is the same for any number of rows. So a mean statement is held against the longer of the quickest
statement of late, and its rows at the quickest row of late. Neither is more than the statement could have taken,
which makes the ratio at most twice too large (where both parts weigh the same): hence the brake's threshold.
"""

from __future__ import annotations

import math

import msgspec

REMEMBERED_SECONDS = 600.0
"""How far back work is known: four times the age of CloudWatch's newest minute when it is published late."""

REMEMBERED_AT_MOST = 700
"""Entries, should somebody read more often than once a second."""

WINDOW_SECONDS = 300.0
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
    """How many the limiter lets through on average in the long run, if batches wait for it."""
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


class WindowedMin(msgspec.Struct, frozen=True):
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

    def with_sample(self, sample: float, now: float) -> WindowedMin:
        """The same with one sample more, `now` in seconds of any steady clock."""
        age = now - self.period_began_at
        if age < WINDOW_SECONDS:
            return WindowedMin(min(self.this, sample), self.before, self.period_began_at)
        return WindowedMin(sample, self.this if age < 2 * WINDOW_SECONDS else math.inf, now)


SMOOTHING = 0.4
"""Weight of the newest second, as Vector's adaptive concurrency has it (its setting `ewma_alpha`)."""

CONGESTED_RATIO = 2.0
"""A row that takes twice its best: rows wait as long as they are worked on."""

RECOVERED_RATIO = 1.3
"""Below this a congestion is over, and the next one is a new event."""


class RowTime(msgspec.Struct, frozen=True):
    """Write time per row, now and at its best of late."""

    ratio: float = 1.0
    """Smoothed; 1 is as good as it gets."""
    statement_seconds: float = 0.0
    """Mean of the newest second that had any; 0: none yet."""
    best_statement_seconds: WindowedMin = WindowedMin()
    best_row_seconds: WindowedMin = WindowedMin()

    def with_statements(self, statement_seconds: float | None, rows_per_statement: float, now: float) -> RowTime:
        """The same with the statements of one reading; without any, or without their rows, nothing is learned."""
        if statement_seconds is None or rows_per_statement <= 0:
            return self
        best_statement = self.best_statement_seconds.with_sample(statement_seconds, now)
        best_row = self.best_row_seconds.with_sample(statement_seconds / rows_per_statement, now)
        expected = max(best_statement.value, rows_per_statement * best_row.value)
        seen = statement_seconds / expected if expected > 0 else 1.0
        if not math.isfinite(seen):
            return self
        return RowTime(self.ratio + SMOOTHING * (seen - self.ratio), statement_seconds, best_statement, best_row)
