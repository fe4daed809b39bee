"""The CPU cost of the notes about buckets: `python -m benchmarks.loadtest.bucket_tally_speed`.

What the write stage adds up for each stored row, beside what else it does for it in this process: to fold the events
and to make the statement's parameters of the rows. The figures are CPU time of this process per row, in turn; the best
of several rounds counts, because other work on the machine can only add to it. Exits with 1 if the notes cost more than
their share.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from subscriber.adapters.postgres.columns import upsert_parameters
from subscriber.buckets import BucketTallies
from subscriber.events.order import fold
from subscriber.model import ObjectEvent

BUCKETS: Final = (1, 5, 100)
ROWS: Final = 1000
SHARE_AT_MOST: Final = 0.5
"""Cost of the notes divided by that of folding and the parameters, for any number of buckets."""


def events(buckets: int) -> list[ObjectEvent]:
    """As many events as a full batch has, of so many buckets in turn."""
    now = datetime.now(UTC)
    return [
        ObjectEvent(f"lake-{number % buckets}", f"raw/{number}", "", "present", "1", "ObjectCreated:Put", now, 5, "e")
        for number in range(ROWS)
    ]


def cpu_nanoseconds(work: Callable[[], object], times: int) -> float:
    """CPU time per row of a call that handles a whole batch."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times / ROWS * 1e9


def costs(buckets: int, times: int) -> tuple[float, float]:
    """Of the notes, and of folding and the parameters."""
    given = events(buckets)
    rows: Sequence[ObjectEvent] = fold(given)
    tallies = BucketTallies()
    noted = cpu_nanoseconds(lambda: tallies.add(rows, 1.0), times)
    return noted, cpu_nanoseconds(lambda: upsert_parameters(fold(given)), times)


def main() -> int:
    """Measure, print a table, and check the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--times", type=int, default=100, help="batches per round")
    options = parser.parse_args()
    best = dict.fromkeys(BUCKETS, (float("inf"), float("inf")))
    for _ in range(options.rounds):
        for buckets in BUCKETS:
            noted, others = costs(buckets, options.times)
            best[buckets] = (min(best[buckets][0], noted), min(best[buckets][1], others))
    for buckets, (noted, others) in best.items():
        print(f"{buckets:4} buckets: notes {noted:4.0f} ns of CPU per row, fold and parameters {others:4.0f} ns")
    share = max(noted / others for noted, others in best.values())
    print(f"largest share {share:.2f}, at most {SHARE_AT_MOST:g}")
    return int(share > SHARE_AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
