"""The simulated sensor: means of the CPU over past windows, reported with delay and noise."""

from __future__ import annotations

import random

import msgspec

from subscriber.signals import LoadReading


class SensorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Window, delay and noise of the sensor."""

    window_seconds: int = 1
    """Length of a window; windows follow each other without gaps."""
    delay_seconds: float = 1.5
    """Time from the end of a window until it can be read."""
    noise_percent: float = 1.5
    """Standard deviation of the reported from the true value."""


class Sensor:
    """Samples the CPU every second; reports windows when they are due."""

    def __init__(self, options: SensorOptions, seed: int) -> None:
        self._options = options
        self._random = random.Random(f"sensor {seed}")
        self._busy_at_begin = 0.0
        self._windows: list[LoadReading] = []
        self.is_unavailable = False
        self._has_gap = False
        """Whether part of the current window could not be measured."""

    def sample(self, now: float, busy_seconds: float, *, is_database_down: bool) -> None:
        """Takes a sample; call it once a second, on the second.

        Args:
            now: seconds since the start.
            busy_seconds: integral of the utilization over time, until now.
            is_database_down: the database is down and cannot be measured.
        """
        window = self._options.window_seconds
        self._has_gap = self._has_gap or is_database_down or self.is_unavailable
        if round(now) % window:
            return
        percent = 100 * (busy_seconds - self._busy_at_begin) / window
        reported = percent + self._random.gauss(0, self._options.noise_percent)
        if not self._has_gap:
            self._windows.append(LoadReading(min(100.0, max(0.0, reported)), now, float(window)))
        self._busy_at_begin, self._has_gap = busy_seconds, False

    def newest(self, now: float) -> LoadReading | None:
        """The newest reading that is available at `now`; None: none yet."""
        due = now - self._options.delay_seconds
        for reading in reversed(self._windows):
            if reading.taken_at <= due:
                return reading
        return None
