"""Warns once of each event name, detail-type and sender that is not known; the quarantine counts and keeps them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from subscriber.observe.log import get_logger

MAX_WARNINGS: Final = 50
"""Names come from outside: a sender that invents one for every event would fill the log."""

_log = get_logger()


class UnknownEvents:
    """What has been warned of since the start of the process."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def report(self, details: Iterable[str]) -> None:
        """Log a warning for each sentence that is new, at most MAX_WARNINGS in all."""
        for detail in details:
            if detail not in self._warned and len(self._warned) < MAX_WARNINGS:
                self._warned.add(detail)
                _log.warning("event.unknown", detail=detail)
