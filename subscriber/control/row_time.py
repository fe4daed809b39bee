"""How long a row takes against the best of late: the one signal that is never late. Pure.

Time is judged by the row, for a bigger batch is no congestion; and a smaller one is none either, for part of a
statement's time is the same for any number of rows. So a mean statement is held against the longer of the quickest
statement of late, and its rows at the quickest row of late. Neither is more than the statement could have taken,
which makes the ratio at most twice too large (where both parts weigh the same): hence the brake's threshold.
"""

from __future__ import annotations

import math

import msgspec

from subscriber.control.recent import LeastOfLate

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
    best_statement_seconds: LeastOfLate = LeastOfLate()
    best_row_seconds: LeastOfLate = LeastOfLate()

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
