"""A bucket and a prefix or key as an argument: `s3://BUCKET/PREFIX`."""

from __future__ import annotations

from subscriber.errors import ConfigurationError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable


def location_of(text: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://BUCKET/PREFIX`; nothing is percent-decoded.

    Raises:
        ConfigurationError: it is none.
    """
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    is_key = is_storable(prefix, MAX_KEY_BYTES) and is_storable(bucket, MAX_BUCKET_BYTES)
    if not text.startswith("s3://") or not bucket or not is_key:
        raise ConfigurationError(f"{text!r} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
    return bucket, prefix
