"""Why a body, or one record of it, is refused: a closed list of words, fit for a metric label.

The word says who has to look: the sender of the body for all of them. The sentence beside it (the `detail` of a
Rejection) goes to the quarantine and is written by us alone: of what came in it quotes at most a few escaped
characters, so that it can always be stored and shown.
"""

from __future__ import annotations

from typing import Final

from subscriber.model import Rejection

NOT_JSON: Final = "not_json"
"""Not JSON, or JSON that no text column could hold (a lone surrogate), or nested beyond all measure."""
UNKNOWN_ENVELOPE: Final = "unknown_envelope"
"""None of the shapes in which S3 events travel. What begins as anything but an object is not read to its end."""
TOO_MANY_RECORDS: Final = "too_many_records"
"""More records than events of any use could be in a body of the largest size."""
UNSUPPORTED_VERSION: Final = "unsupported_version"
"""The record's eventVersion has another major than 2."""
MALFORMED_RECORD: Final = "malformed_record"
"""A field that is needed is missing or of another type."""
UNKNOWN_EVENT: Final = "unknown_event"
"""The name says that something was created or removed, in words we cannot read."""
BAD_TIME: Final = "bad_time"
BAD_KEY: Final = "bad_key"
BAD_BUCKET: Final = "bad_bucket"
BAD_VERSION_ID: Final = "bad_version_id"
BAD_SIZE: Final = "bad_size"
BAD_ETAG: Final = "bad_etag"
BUCKET_NOT_ALLOWED: Final = "bucket_not_allowed"
"""A good event of a bucket that is not on the list of SUBSCRIBER_BUCKETS."""

REASONS: Final = frozenset(
    {
        NOT_JSON,
        UNKNOWN_ENVELOPE,
        TOO_MANY_RECORDS,
        UNSUPPORTED_VERSION,
        MALFORMED_RECORD,
        UNKNOWN_EVENT,
        BAD_TIME,
        BAD_KEY,
        BAD_BUCKET,
        BAD_VERSION_ID,
        BAD_SIZE,
        BAD_ETAG,
        BUCKET_NOT_ALLOWED,
    }
)

_QUOTED_CHARACTERS = 60


class RejectedRecordError(Exception):
    """Raised while one record is read, and caught by the reader: it never leaves this package."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.rejection = Rejection(reason, detail)


def quoted(text: str) -> str:
    """The beginning of a foreign text, in ASCII, for a detail sentence."""
    return ascii(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…")
