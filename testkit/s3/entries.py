"""One entry of a listing, and its XML.

Names and order of the elements are those that S3 sends today, read from an answer of June 2026 that a user published
(versity/versitygw issue 2178): the owner is an id without a name and stands before the storage class.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import msgspec

from subscriber.model import ListedVersion

NULL_VERSION: Final = "null"
"""The version id of the null version in a listing."""
OWNER_ID: Final = "6cf4ba6d24167d9655e8fcd86ca28fdab32c18c99169cbfeb3efe00ff8f4d2ae"
_OWNER: Final = f"<Owner><ID>{OWNER_ID}</ID></Owner>"
_CHECKSUM: Final = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
_ENTITIES: Final = {'"': "&quot;", "\r": "&#13;"}
# XML 1.0 has no way to write these; S3 writes references all the same, which strict parsers reject.
_CONTROLS: Final = {code: f"&#x{code:x};" for code in range(32) if code not in (9, 10, 13)}


class Form(msgspec.Struct, frozen=True):
    """How a page is written."""

    is_versions: bool
    """ListObjectVersions, not ListObjectsV2."""
    is_encoded: bool
    """The client asked for `encoding-type=url`."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A version or delete marker, or in ListObjectsV2 the current version."""

    key: bytes
    """UTF-8."""
    version_id: str
    is_marker: bool
    is_latest: bool
    last_modified: str
    """ISO 8601 with `.000Z`: S3 lists whole seconds."""
    etag: str = ""
    """Without quotes."""
    size_bytes: int = 0
    storage_class: str = "STANDARD"
    has_checksum: bool = False
    """Whether the elements about a checksum are listed, as for objects put since December 2024."""


def listed_version(entry: Entry, *, is_versions: bool) -> ListedVersion:
    """The entry as a reader of ListObjectVersions, or of ListObjectsV2, ought to give it back."""
    has_id = is_versions and entry.version_id != NULL_VERSION
    return ListedVersion(
        key=entry.key.decode(),
        version_id=entry.version_id if has_id else "",
        is_marker=entry.is_marker,
        is_latest=entry.is_latest,
        last_modified=int(datetime.fromisoformat(entry.last_modified).timestamp()),
        size_bytes=None if entry.is_marker else entry.size_bytes,
        etag=None if entry.is_marker else entry.etag,
        storage_class=None if entry.is_marker else entry.storage_class,
    )


def iso_time(unix_seconds: float) -> str:
    """A time as listings write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(unix_seconds))


def shown(key: bytes, form: Form) -> bytes:
    """A key, prefix or marker as the page shows it: URL-encoded with `+` for a space, or escaped for XML."""
    if form.is_encoded:
        return quote_plus(key, safe="/*").replace("~", "%7E").encode()
    return escape(key.decode(), _ENTITIES).translate(_CONTROLS).encode()


def rendered(entry: Entry, key: bytes, form: Form) -> bytes:
    """The XML of one entry.

    Args:
        entry: what to write.
        key: the key as `shown` gives it, or a template of it.
        form: how the page is written.
    """
    if not form.is_versions:
        return _with_key(b"<Contents><Key>", key, f"{_content(entry, '')}</Contents>")
    version = f"<VersionId>{entry.version_id}</VersionId><IsLatest>{str(entry.is_latest).lower()}</IsLatest>"
    if entry.is_marker:
        rest = f"{version}<LastModified>{entry.last_modified}</LastModified>{_OWNER}</DeleteMarker>"
        return _with_key(b"<DeleteMarker><Key>", key, rest)
    return _with_key(b"<Version><Key>", key, f"{version}{_content(entry, _OWNER)}</Version>")


def _content(entry: Entry, owner: str) -> str:
    return (
        f"<LastModified>{entry.last_modified}</LastModified><ETag>&quot;{entry.etag}&quot;</ETag>"
        f"{_CHECKSUM if entry.has_checksum else ''}<Size>{entry.size_bytes}</Size>{owner}"
        f"<StorageClass>{entry.storage_class}</StorageClass>"
    )


def _with_key(opening: bytes, key: bytes, rest: str) -> bytes:
    return opening + key + b"</Key>" + rest.encode("latin-1")
