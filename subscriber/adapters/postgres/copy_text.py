"""Versions of a listing as lines for COPY in its text format (PostgreSQL, "COPY", section "Text Format").

Nothing is escaped: texts that would need it have no lines, and come by the upsert. They are rare, and one look at all
texts together finds them, which costs less than a look at each.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from subscriber.model import RankedVersion

COLUMNS: Final = (
    "bucket", "key", "version_id", "state", "sequencer", "event_name", "event_time", "size_bytes", "etag",
    "storage_class",
)  # fmt: skip
"""In the order of the lines."""

_NULL: Final = "\\N"
_SPECIAL: Final = "\t\n\r\\"
"""What a line's text cannot have without escapes."""
_SECONDS_CACHED: Final = 4096
"""Neighbors in a listing were often stored in the same seconds."""


def copy_text(bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bytes | None:
    """One line for each version; None: a text has a tab, an end of line or a backslash, or is no UTF-8.

    Args:
        bucket: of all of them; a name that S3 accepts.
        versions: with their sequencers.
        event_name: of all of them; one of ours.
    """
    texts = "".join([text for each, _ in versions for text in (each.key, each.version_id, each.etag or "")])
    texts += "".join({each.storage_class or "" for each, _ in versions})  # few words for many versions
    if any(special in texts for special in _SPECIAL):
        return None
    lines = [
        f"{bucket}\t{each.key}\t{each.version_id}\tdelete_marker\t{sequencer}\t{event_name}\t"
        f"{_time(each.last_modified)}\t{_NULL}\t{_NULL}\t{_NULL}\n"
        if each.is_marker
        else f"{bucket}\t{each.key}\t{each.version_id}\tpresent\t{sequencer}\t{event_name}\t"
        f"{_time(each.last_modified)}\t{_NULL if each.size_bytes is None else each.size_bytes}\t{each.etag or _NULL}\t"
        f"{each.storage_class or _NULL}\n"
        for each, sequencer in versions
    ]
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None


@functools.lru_cache(maxsize=_SECONDS_CACHED)
def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()
