"""Latency from sending a message to the commit that stored its event.

The commit time is PostgreSQL's (`pg_xact_commit_timestamp`, which needs track_commit_timestamp = on): now() would be
the start of the transaction. The time is known for the event that a row holds at the end. An event that a newer one
has replaced leaves no commit time and is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from testkit.checker.compare import StoredRow
from testkit.workload.send_log import Sent


class Latency(msgspec.Struct, frozen=True):
    """The latency of all events that could be measured, in seconds."""

    events: int
    p50: float
    p99: float
    longest: float


def commit_latency(sent: Iterable[Sent], rows: Mapping[tuple[str, str, str], StoredRow]) -> Latency:
    """Latency of each event that is still in its row, from its first sending to the row's commit."""
    first_sent: dict[tuple[str, str, str], float] = {}
    for message in sent:
        row = rows.get(message.version)
        if row is not None and row.sequencer == message.sequencer:
            earlier = first_sent.get(message.version, math.inf)
            first_sent[message.version] = min(earlier, message.sent_at)
    ages = sorted(rows[version].committed_at - sent_at for version, sent_at in first_sent.items())
    if not ages:
        return Latency(0, math.nan, math.nan, math.nan)
    return Latency(len(ages), percentile(ages, 50), percentile(ages, 99), ages[-1])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order: always one of the values."""
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(0, rank - 1)]
