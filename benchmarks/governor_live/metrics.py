"""Figures of how well a ceiling was held, computed second by second. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.governor_live.series import Second
from benchmarks.simulation.figures import BAND_POINTS, STABLE_SECONDS, first_stable

REGAINED_SHARE: Final = 0.9
"""Share of the rate before the neighbor that counts as regained."""


def errors(seconds: Sequence[Second]) -> list[float]:
    """CPU minus ceiling in percentage points, for the seconds that have a ceiling."""
    return [each.cpu_percent - each.ceiling_percent for each in seconds if each.ceiling_percent is not None]


def settling_seconds(seconds: Sequence[Second]) -> float | None:
    """Seconds until the CPU is in the band and stays there; None: never."""
    settled = first_stable([abs(error) <= BAND_POINTS for error in errors(seconds)])
    return None if settled is None else float(settled)


def within_band_share(seconds: Sequence[Second]) -> float | None:
    """Share of the seconds in the band, 0 to 1; None: there are no seconds."""
    found = errors(seconds)
    return sum(abs(error) <= BAND_POINTS for error in found) / len(found) if found else None


def overshoot_points(seconds: Sequence[Second]) -> float:
    """The largest excess of the CPU over its ceiling; 0: none."""
    return max(0.0, *errors(seconds), 0.0)


def peak_to_peak_points(seconds: Sequence[Second]) -> float | None:
    """The range of the distances from the ceiling; None: there are no seconds."""
    found = errors(seconds)
    return max(found) - min(found) if found else None


def back_under_seconds(seconds: Sequence[Second]) -> float | None:
    """Seconds until the CPU is back at or under its ceiling and then stays below the top of the band.

    None: never. 0: it never rose above the ceiling. A mean needs a second or two to rise, so seconds before the first
    excess do not count as being back.
    """
    found = errors(seconds)
    stays = first_stable([error <= BAND_POINTS for error in found])
    if stays is None:
        return None
    rose = next((at for at, error in enumerate(found[:STABLE_SECONDS]) if error > 0), None)
    if rose is None:
        return 0.0
    return next((float(at) for at, error in enumerate(found) if at >= max(stays, rose) and error <= 0), None)


def regained_seconds(seconds: Sequence[Second], rows_before: float) -> float | None:
    """Seconds until the rate is within a tenth of the rate before; None: never."""
    return next((each.at for each in seconds if each.rows >= REGAINED_SHARE * rows_before), None)


def mean_cpu(seconds: Sequence[Second]) -> float:
    """Mean CPU, percent."""
    return sum(each.cpu_percent for each in seconds) / len(seconds)


def mean_rows(seconds: Sequence[Second]) -> float:
    """Mean rows per second."""
    return sum(each.rows for each in seconds) / len(seconds)


def mean_limit(seconds: Sequence[Second]) -> float:
    """Mean concurrency limit."""
    return sum(each.limit for each in seconds) / len(seconds)
