"""The governor's two set-points: how much CPU is allowed, and how many rows one statement may have. Pure.

The ceiling rises with the lag, because the rest of the CPU belongs to the owner of the database. While the lag is
within its target the ceiling is the CPU target; it reaches the CPU maximum when the lag reaches its own maximum.

No statement may occupy the whole database for long. Large statements are the cheapest as long as rows are cheap. Where
a thousand rows take a small database a quarter of a second, they cost three things that cool-downs between statements
do not give back: other users of the CPU wait for the end of the statement, a sensor with a window of seconds sees a
whole statement or none, and the limit can be evaluated only after several statements. The fixed cost of a statement is
small compared with a tenth of a second.

The cost of a row for the whole database comes from the database's load (`prediction.RowCost`), never from the duration
of statements: that includes waiting for commits, locks and neighbors, which shorter statements would not reduce.
"""

from __future__ import annotations

import math
from typing import Final

from subscriber.control.governor.prediction import RowCost
from subscriber.control.governor.state import GovernorOptions


def urgency_of(lag_seconds: float, target_seconds: float, max_seconds: float) -> float:
    """How urgent a lag is: 0 up to its target, 1 from its maximum on, a straight line between.

    A lag that is not a finite number counts as 0.
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
"""Of all processors of the database, for one statement: a tenth of a sensor's second."""

ROWS_AT_LEAST: Final = 100
"""Below this the fixed cost of a statement matters: bulk inserts of a hundred reach three quarters of the rate of a
thousand (`docs/explanation/performance.md`)."""

UNKNOWN_SHARE: Final = 0.25
"""Of the maximum, while the row cost is unknown and the limit is below one: a new task starts conservatively."""


def rows_for_cost(options: GovernorOptions, cost: RowCost, limit: float) -> int:
    """Rows of a statement, between `ROWS_AT_LEAST` and the operator's maximum; a lower maximum counts alone.

    Args:
        options: bounds; without a sensor the maximum applies.
        cost: of a row, if it is known.
        limit: concurrent writes on average; from one on, several statements average each other.
    """
    most = options.batch_max_rows
    if not options.has_load_signal:
        return most
    least = min(ROWS_AT_LEAST, most)
    points = cost.least.value
    if not math.isfinite(points) or points <= 0:
        return most if limit >= 1 else max(least, round(UNKNOWN_SHARE * most))
    return max(least, int(min(most, 100 * STATEMENT_LOAD_SECONDS / points)))
