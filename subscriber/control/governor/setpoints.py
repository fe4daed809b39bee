"""How many rows one statement may have: none may keep the whole database busy for long. Pure.

Big statements are the cheapest, as long as rows are cheap. Where a thousand of them take a small database for a quarter
of a second, they cost three things that rests between them cannot give back: whoever else wants the processor waits for
their end, a sensor of seconds sees a whole one or none, and the limit can be judged only after several of them. What a
statement costs beside its rows is little beside a tenth of a second.

What a row costs the whole database is known from its load (`prediction.RowCost`), never from the time that statements
take: that is waiting for commits, locks and neighbors too, and shorter statements would make it no better.

How much of the database's processor we may use: the ceiling, which rises with lateness. Pure.

Headroom belongs to the database's owner. It is spent only when rows are late: the ceiling stands at the target
while the lag is within its own target, and reaches the maximum when the lag does.
"""

from __future__ import annotations

import math
from typing import Final

from subscriber.control.governor.prediction import RowCost
from subscriber.control.governor.state import GovernorOptions


def urgency_of(lag_seconds: float, target_seconds: float, max_seconds: float) -> float:
    """How urgent a lag is: 0 up to its target, 1 from its maximum on, a straight line between.

    A lag that is no number is no reason to hurry.
    """
    if not math.isfinite(lag_seconds):
        return 0.0
    if max_seconds <= target_seconds:
        return float(lag_seconds > target_seconds)
    return min(1.0, max(0.0, (lag_seconds - target_seconds) / (max_seconds - target_seconds)))


def ceiling_percent(target_percent: float, max_percent: float, urgency: float) -> float:
    """The CPU that is allowed at this urgency: `target + (max − target) × urgency`."""
    return target_percent + max(0.0, max_percent - target_percent) * urgency


STATEMENT_LOAD_SECONDS: Final = 0.1
"""Of all the processors that the database has, for one statement: a tenth of a sensor's second."""

ROWS_AT_LEAST: Final = 100
"""Below this a statement's own cost begins to show: bulk inserts of a hundred reach three quarters of the rate of a
thousand (`docs/performance.md`)."""

UNKNOWN_SHARE: Final = 0.25
"""Of the most, while nothing is known and the limit is below one: a new task looks before it leaps."""


def rows_at_most(options: GovernorOptions, cost: RowCost, limit: float) -> int:
    """Rows of a statement, between `ROWS_AT_LEAST` and what the operator has set, or just that where it is less.

    Args:
        options: bounds; without a sensor nothing is held back.
        cost: of a row, as far as it is known.
        limit: concurrent writes on average; from one on several statements even each other out.
    """
    most = options.batch_max_rows
    if not options.has_load_signal:
        return most
    least = min(ROWS_AT_LEAST, most)
    points = cost.least.value
    if not math.isfinite(points) or points <= 0:
        return most if limit >= 1 else max(least, round(UNKNOWN_SHARE * most))
    return max(least, int(min(most, 100 * STATEMENT_LOAD_SECONDS / points)))
