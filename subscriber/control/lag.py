"""How late the line is. Pure.

Two ages are looked at, both of messages received for the first time (one that comes again is old for another reason).
The youngest that a queue has given tells how far behind its far end is: a queue that is drained gives fresh ones.
The oldest that is still inside tells of the near end: a database that stands still lets it grow by a second a
second, while nothing is received. The larger one counts, and of several queues the worst.

An idle queue is not late, so nothing is remembered of a second in which nothing came.
"""

from __future__ import annotations

from collections.abc import Iterable


def lag_of(youngest_seconds: Iterable[float | None], oldest_sent_at: float, now: float) -> float:
    """Seconds the line is late, 0 where nothing says that it is.

    Args:
        youngest_seconds: of each queue, the age of the youngest first receive since the last look; None: none came.
        oldest_sent_at: when the oldest first receive inside was sent, Unix seconds; infinite: there is none.
        now: Unix seconds.
    """
    ages = [age for age in youngest_seconds if age is not None]
    return max(0.0, now - oldest_sent_at, *ages)
