"""Turns samples into series of seconds, from which figures and plots are made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from benchmarks.loadtest.samples import Sample

MEAN_SECONDS: Final = 5
"""Figures use means of so many seconds: even at a fixed duty cycle, CPU varies by four points between seconds."""


class Second(msgspec.Struct, frozen=True):
    """One second of a run."""

    at: float
    """End of the second, in seconds since the first sample."""
    cpu_percent: float
    """Percent of the database's cores."""
    ceiling_percent: float | None
    """The ceiling at the start of the second; None: the governor did not decide."""
    rows: float
    limit: float
    lag_seconds: float


def seconds_of(samples: Sequence[Sample], cores: float) -> list[Second]:
    """Aggregates the samples of each second; `cores` is the number of the database's cores."""
    return [_second(group, cores) for group in _groups(samples)]


def smoothed(seconds: Sequence[Second]) -> list[Second]:
    """The same with CPU, ceiling and rows as means of the last five seconds, or fewer at the start."""
    return [_mean(seconds[max(0, end - MEAN_SECONDS) : end]) for end in range(1, len(seconds) + 1)]


def between(seconds: Sequence[Second], begin: float, end: float) -> list[Second]:
    """The seconds within a span of the run, with times relative to the start of the span."""
    return [msgspec.structs.replace(each, at=each.at - begin) for each in seconds if begin < each.at <= end]


def _groups(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Groups of samples that span a second each; the last sample of a group is the first of the next."""
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
        lag_seconds=end.receive_age_seconds,
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
