"""The time of an event: an aware datetime in UTC, or None.

S3 writes ISO 8601 with milliseconds and `Z`, EventBridge whole seconds. Some emulators omit the `Z`: such a time is
read as UTC, never in the time zone of this machine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2105
"""The last whole year whose seconds fit into the eight hex digits of a sequencer (they end in February 2106)."""
_DATE_CHARACTERS = 10


def read_event_time(text: str) -> datetime | None:
    """The time that `text` states; None if it states none, or one outside 1970 to 2105."""
    if len(text) <= _DATE_CHARACTERS:
        return None  # a date alone would be read as midnight
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not UTC:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None
