"""Figures of how a ceiling was held: what an engineer would read off the curve, second by second. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.governor_live.series import Second

BAND_POINTS: Final = 7.0
"""So near to the ceiling counts as held."""

STAYS_SECONDS: Final = 10
"""What has come stays, if it does for so long."""

REGAINED_SHARE: Final = 0.9
"""Of the rows a second before the neighbor came."""


def errors(seconds: Sequence[Second]) -> list[float]:
    """CPU less ceiling, points, of the seconds that have a ceiling."""
    return [each.cpu_percent - each.ceiling_percent for each in seconds if each.ceiling_percent is not None]


def settling_seconds(seconds: Sequence[Second]) -> float | None:
    """Until the CPU is in the band, and stays; None: never."""
    return _first_stay([abs(error) <= BAND_POINTS for error in errors(seconds)])


def within_band_share(seconds: Sequence[Second]) -> float | None:
    """Part of the seconds, 0 to 1, in the band; None: there are none."""
    found = errors(seconds)
    return sum(abs(error) <= BAND_POINTS for error in found) / len(found) if found else None


def overshoot_points(seconds: Sequence[Second]) -> float:
    """How far above its ceiling the CPU was at most; 0: never."""
    return max(0.0, *errors(seconds), 0.0)


def peak_to_peak_points(seconds: Sequence[Second]) -> float | None:
    """From the lowest to the highest distance from the ceiling; None: there are none."""
    found = errors(seconds)
    return max(found) - min(found) if found else None


def back_under_seconds(seconds: Sequence[Second]) -> float | None:
    """Until the CPU is back at or under its ceiling and then stays below the band's top; None: never, 0: it never rose.

    A mean needs a second or two to rise above: to be still under the ceiling when somebody comes is not to be back.
    """
    found = errors(seconds)
    stays = _first_stay([error <= BAND_POINTS for error in found])
    if stays is None:
        return None
    rose = next((at for at, error in enumerate(found[:STAYS_SECONDS]) if error > 0), None)
    if rose is None:
        return 0.0
    return next((float(at) for at, error in enumerate(found) if at >= max(stays, rose) and error <= 0), None)


def regained_seconds(seconds: Sequence[Second], rows_before: float) -> float | None:
    """Until as many rows a second are stored as before, but for a tenth; None: never."""
    return next((each.at for each in seconds if each.rows >= REGAINED_SHARE * rows_before), None)


def mean_cpu(seconds: Sequence[Second]) -> float:
    """Percent, on average."""
    return sum(each.cpu_percent for each in seconds) / len(seconds)


def mean_rows(seconds: Sequence[Second]) -> float:
    """A second, on average."""
    return sum(each.rows for each in seconds) / len(seconds)


def mean_limit(seconds: Sequence[Second]) -> float:
    """On average."""
    return sum(each.limit for each in seconds) / len(seconds)


def _first_stay(flags: Sequence[bool]) -> float | None:
    """Seconds before the first run of flags that is long enough."""
    length = 0
    for number, flag in enumerate(flags):
        length = length + 1 if flag else 0
        if length == STAYS_SECONDS:
            return float(number + 1 - STAYS_SECONDS)
    return None
