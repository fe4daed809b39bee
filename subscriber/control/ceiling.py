"""How much of the database's processor we may use: the ceiling, which rises with lateness. Pure.

Headroom belongs to the database's owner. It is spent only when rows are late: the ceiling stands at the target
while the lag is within its own target, and reaches the maximum when the lag does.
"""

from __future__ import annotations

import math


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
