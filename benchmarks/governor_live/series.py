"""From samples to seconds: the curves a person reads the figures from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from benchmarks.loadtest.samples import Sample

MEAN_SECONDS: Final = 5
"""Figures are judged on means of so many seconds: a fixed duty alone scatters by four points from second to second."""


class Second(msgspec.Struct, frozen=True):
    """One second of a run."""

    at: float
    """Its end, since the run's first sample."""
    cpu_percent: float
    """Of the cores that are the database's."""
    ceiling_percent: float | None
    """That was in force at its begin; None: the governor was not at work."""
    rows: float
    limit: float
    lag_seconds: float


def seconds_of(samples: Sequence[Sample], cores: float) -> list[Second]:
    """The samples of each second together; `cores` are the database's."""
    return [_second(group, cores) for group in _groups(samples)]


def smoothed(seconds: Sequence[Second]) -> list[Second]:
    """The same, CPU, ceiling and rows being the means of the last five seconds; shorter ones at the begin."""
    return [_mean(seconds[max(0, end - MEAN_SECONDS) : end]) for end in range(1, len(seconds) + 1)]


def between(seconds: Sequence[Second], begin: float, end: float) -> list[Second]:
    """Those that lie within a span of the run, counted from its begin."""
    return [msgspec.structs.replace(each, at=each.at - begin) for each in seconds if begin < each.at <= end]


def _groups(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Samples from one to the first that is a second later; the last of a group is the first of the next."""
    first = 0
    for number, sample in enumerate(samples):
        if sample.seconds - samples[first].seconds >= 1 - 1e-3:
            yield samples[first : number + 1]
            first = number


def _second(group: Sequence[Sample], cores: float) -> Second:
    begin, end = group[0], group[-1]
    long = end.seconds - begin.seconds
    used = end.cpu_seconds["database"] - begin.cpu_seconds["database"]
    return Second(
        at=end.seconds,
        cpu_percent=100 * used / long / cores,
        ceiling_percent=begin.cpu_ceiling_percent,
        rows=(end.rows - begin.rows) / long,
        limit=end.concurrency_limit,
        lag_seconds=end.lag_seconds,
    )


def _mean(seconds: Sequence[Second]) -> Second:
    count = len(seconds)
    ceilings = [each.ceiling_percent for each in seconds if each.ceiling_percent is not None]
    return msgspec.structs.replace(
        seconds[-1],
        cpu_percent=sum(each.cpu_percent for each in seconds) / count,
        ceiling_percent=sum(ceilings) / len(ceilings) if ceilings else None,
        rows=sum(each.rows for each in seconds) / count,
    )
