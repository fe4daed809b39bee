"""What the governor remembers: the work of the last minutes, running minima, and the time of a row. Pure, bounded.

A sensor's reading describes the past. To interpret it the governor must know what we did then, so it keeps each second
of work until no sensor can report on it any more.

The time of a row against its recent best is the one signal without delay. It is measured per row, because a larger
batch takes longer without any congestion. A smaller batch is no congestion either, because part of a statement's time
does not depend on the number of rows. So a mean statement is compared with the longer of two recent bests: the
quickest statement, and its own number of rows at the quickest time per row. Neither is longer than the statement could
have taken, so the ratio may be overstated, by a factor of two at most (where both parts weigh the same): hence the
threshold of the latency brake.
"""

from __future__ import annotations

import math

import msgspec

REMEMBERED_SECONDS = 600.0
"""How long work is kept: four times the age of CloudWatch's newest minute when it is published late."""

FAILURES_SECONDS = 10.0
"""Time constant of the share of statements that failed: a slow task makes a few statements in it."""

REMEMBERED_AT_MOST = 700
"""Entries, should a caller read more often than once a second."""

WINDOW_SECONDS = 300.0
"""A minimum expires after one to two times this, three where samples are rare: a larger table, or a smaller instance,
is the new normal."""


class Work(msgspec.Struct, frozen=True):
    """What we did between one reading and the next."""

    ended_at: float
    """Seconds of the event loop's clock."""
    seconds: float
    """Length."""
    used: float
    """Mean number of writes in progress."""
    long_run_used: float
    """The limit if a batch waited and it is below one, else `used`."""
    limit: float
    rows_per_second: float


class Span(msgspec.Struct, frozen=True):
    """The mean of the work inside a window of the past."""

    used: float
    long_run_used: float
    limit: float
    rows_per_second: float


def remembered(past: tuple[Work, ...], newest: Work) -> tuple[Work, ...]:
    """The past with one entry more, and without entries that no sensor can report on any more."""
    horizon = newest.ended_at - REMEMBERED_SECONDS
    first = 0
    while first < len(past) and (past[first].ended_at <= horizon or len(past) - first >= REMEMBERED_AT_MOST):
        first += 1
    return (*past[first:], newest)


def work_between(past: tuple[Work, ...], begin: float, end: float) -> Span | None:
    """The mean work from `begin` to `end` (loop's clock); None where less than half of that time is known.

    Entries count by their overlap with the window, so that a window may begin and end anywhere.
    """
    known = used = long_run_used = limit = rows = 0.0
    for work in reversed(past):
        if work.ended_at <= begin:
            break
        overlap = min(end, work.ended_at) - max(begin, work.ended_at - work.seconds)
        if overlap > 0:
            known += overlap
            used += overlap * work.used
            long_run_used += overlap * work.long_run_used
            limit += overlap * work.limit
            rows += overlap * work.rows_per_second
    if known <= 0 or known < (end - begin) / 2:
        return None
    return Span(used / known, long_run_used / known, limit / known, rows / known)


class Outcomes(msgspec.Struct, frozen=True):
    """How many statements failed and succeeded in the last seconds; older ones have less weight."""

    failed: float = 0.0
    succeeded: float = 0.0

    @property
    def failed_share(self) -> float:
        """Of all statements, 0 to 1; 0 without any."""
        return self.failed / (self.failed + self.succeeded) if self.failed > 0 else 0.0

    def with_second(self, failed: int, succeeded: int, seconds: float) -> Outcomes:
        """The same after so many more seconds, with their statements."""
        kept = math.exp(-max(0.0, seconds) / FAILURES_SECONDS)
        return Outcomes(kept * self.failed + failed, kept * self.succeeded + succeeded)


class WindowedMin(msgspec.Struct, frozen=True):
    """A running minimum over a time window, in constant space: the minimum of this period and the one before.

    The filter by which BBR keeps the round-trip time of an empty path (Cardwell et al., ACM Queue 14(5), 2016).
    """

    this: float = math.inf
    before: float = math.inf
    period_began_at: float = -math.inf

    @property
    def value(self) -> float:
        """The minimum; infinite without samples."""
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
"""A row takes twice its best time: it waits as long as the database works on it."""

RECOVERED_RATIO = 1.3
"""Below this a congestion is over, and the next one is a new event."""


class RowTime(msgspec.Struct, frozen=True):
    """Write time per row, now and at its recent best."""

    ratio: float = 1.0
    """Of now to best, smoothed; 1 is the best."""
    statement_seconds: float = 0.0
    """Mean of the newest second with statements; 0: none yet."""
    best_statement_seconds: WindowedMin = WindowedMin()
    best_row_seconds: WindowedMin = WindowedMin()

    def with_statements(self, statement_seconds: float | None, rows_per_statement: float, now: float) -> RowTime:
        """The same with the statements of one reading; unchanged without statements or without rows."""
        if statement_seconds is None or rows_per_statement <= 0:
            return self
        best_statement = self.best_statement_seconds.with_sample(statement_seconds, now)
        best_row = self.best_row_seconds.with_sample(statement_seconds / rows_per_statement, now)
        expected = max(best_statement.value, rows_per_statement * best_row.value)
        seen = statement_seconds / expected if expected > 0 else 1.0
        if not math.isfinite(seen):
            return self
        return RowTime(self.ratio + SMOOTHING * (seen - self.ratio), statement_seconds, best_statement, best_row)
