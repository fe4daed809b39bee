"""Versions of a listing as lines for COPY in its text format (PostgreSQL, "COPY", section "Text Format").

Nothing is escaped: texts that would need it have no lines, and come by the upsert. They are rare, and four counts over
all lines find them, which costs less than a look at each text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from subscriber.model import RankedVersion

COLUMNS: Final = (
    "bucket", "key", "version_id", "state", "sequencer", "event_name", "event_time", "size_bytes", "etag"
)  # fmt: skip
"""In the order of the lines."""

_TABS: Final = len(COLUMNS) - 1
_NULLS_OF_A_MARKER: Final = 2
_SECONDS_CACHED: Final = 4096
"""Neighbors in a listing were often stored in the same seconds."""


def copy_text(bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bytes | None:
    """One line for each version; None: a text has a tab, an end of line or a backslash, or is missing."""
    lines = "".join(
        [
            f"{bucket}\t{each.key}\t{each.version_id}\tdelete_marker\t{sequencer}\t{event_name}\t"
            f"{_time(each.last_modified)}\t\\N\t\\N\n"
            if each.is_marker
            else f"{bucket}\t{each.key}\t{each.version_id}\tpresent\t{sequencer}\t{event_name}\t"
            f"{_time(each.last_modified)}\t{each.size_bytes}\t{each.etag}\n"
            for each, sequencer in versions
        ]
    )
    is_plain = (
        lines.count("\n") == len(versions)
        and lines.count("\t") == _TABS * len(versions)
        and lines.count("\\") == _NULLS_OF_A_MARKER * lines.count("\tdelete_marker\t")
        and "\r" not in lines
        and "\tNone" not in lines  # a size or ETag that the listing does not tell
    )
    try:
        return lines.encode() if is_plain else None
    except UnicodeEncodeError:  # a lone surrogate
        return None


@functools.lru_cache(maxsize=_SECONDS_CACHED)
def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()
