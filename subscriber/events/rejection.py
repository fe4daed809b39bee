"""Why a body, or one record of it, is rejected: a closed list of reasons, fit for a metric label.

All of them point to the sender of the body, except BUCKET_NOT_ALLOWED. The `detail` of a Rejection, one sentence, goes
to the quarantine. It quotes at most a few escaped characters of the body, so that it can always be stored and shown.
"""

from __future__ import annotations

from typing import Final

from subscriber.model import Rejection

NOT_JSON: Final = "not_json"
"""Not JSON, or JSON that a text column cannot hold (a lone surrogate), or nested too deeply."""
UNKNOWN_ENVELOPE: Final = "unknown_envelope"
"""None of the envelopes of S3 events. A body that is not a JSON object is not read to its end."""
TOO_MANY_RECORDS: Final = "too_many_records"
"""More records than a body of maximum size could hold if they were valid."""
UNSUPPORTED_VERSION: Final = "unsupported_version"
"""The record's eventVersion has a major other than 2."""
MALFORMED_RECORD: Final = "malformed_record"
"""A required field is missing or has another type."""
UNKNOWN_EVENT: Final = "unknown_event"
"""The event's name, its detail-type or its sender is not known: it may say that an object exists or does not."""
BAD_TIME: Final = "bad_time"
BAD_KEY: Final = "bad_key"
BAD_BUCKET: Final = "bad_bucket"
BAD_VERSION_ID: Final = "bad_version_id"
BAD_SIZE: Final = "bad_size"
BAD_ETAG: Final = "bad_etag"
BUCKET_NOT_ALLOWED: Final = "bucket_not_allowed"
"""A valid event of a bucket that SUBSCRIBER_BUCKETS does not list."""

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
    """Raised while one record is decoded, and caught in this package."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.rejection = Rejection(reason, detail)


def quoted(text: str) -> str:
    """The beginning of a text from outside, in ASCII, for a detail sentence."""
    return ascii(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…")
