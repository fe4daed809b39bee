"""The sensor: means of the CPU over windows that have ended, told some time later, and not quite right."""

from __future__ import annotations

import random

import msgspec

from subscriber.signals import LoadReading


class SensorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sensor tells, and how late."""

    window_seconds: int = 1
    """Length of a window; one follows the other."""
    delay_seconds: float = 1.5
    """From the end of a window to the moment it can be read."""
    noise_percent: float = 1.5
    """Standard deviation of what is told from what was."""


class Sensor:
    """Takes a look every second; tells what is due."""

    def __init__(self, options: SensorOptions, seed: int) -> None:
        self._options = options
        self._random = random.Random(f"sensor {seed}")
        self._busy_at_begin = 0.0
        self._told: list[LoadReading] = []
        self.is_lost = False
        self._was_blind = False
        """Whether something kept it from seeing this window."""

    def look(self, now: float, busy_seconds: float, *, is_blind: bool) -> None:
        """Once a second, on the second.

        Args:
            now: seconds since the start.
            busy_seconds: integral of the share of the cores in use, until now.
            is_blind: the database is away, and cannot be asked.
        """
        window = self._options.window_seconds
        self._was_blind = self._was_blind or is_blind or self.is_lost
        if round(now) % window:
            return
        percent = 100 * (busy_seconds - self._busy_at_begin) / window
        told = percent + self._random.gauss(0, self._options.noise_percent)
        if not self._was_blind:
            self._told.append(LoadReading(min(100.0, max(0.0, told)), now, float(window)))
        self._busy_at_begin, self._was_blind = busy_seconds, False

    def newest(self, now: float) -> LoadReading | None:
        """What can be read now."""
        due = now - self._options.delay_seconds
        for reading in reversed(self._told):
            if reading.taken_at <= due:
                return reading
        return None
