"""The operations on buckets and on single objects; `listing.py` has the listings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import formatdate
from typing import Final

import msgspec

from testkit.s3 import errors
from testkit.s3.buckets import Buckets
from testkit.s3.entries import Entry
from testkit.s3.faults import Fault
from testkit.s3.generated import GeneratedBucket
from testkit.s3.keys import MAX_KEY_BYTES
from testkit.signature import SignedRequest

_XML: Final = {"Content-Type": "application/xml"}
_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_STATUS = re.compile(rb"<Status>(Enabled|Suspended)</Status>")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_STATES: Final = {"unversioned": "", "enabled": "<Status>Enabled</Status>", "suspended": "<Status>Suspended</Status>"}


class Call(msgspec.Struct, frozen=True):
    """A request with its bucket, key and parameters."""

    request: SignedRequest
    bucket: str
    key: str
    query: Mapping[str, str]
    """Decoded; a parameter without a value has an empty one."""
    fault: Fault | None = None
    """What is to go wrong."""


class Answer(msgspec.Struct):
    """An answer to send."""

    status: int
    body: bytes
    headers: dict[str, str]
    is_chunked: bool = False
    """S3 sends listings in chunks, without Content-Length."""
    length: int | None = None
    """Content-Length of an answer to HEAD, which has no body."""


def object_operations(buckets: Buckets) -> dict[str, Callable[[Call], Answer]]:
    """Name of the operation → function."""
    configuration, objects = BucketOperations(buckets), ObjectOperations(buckets)
    return {
        "CreateBucket": configuration.create,
        "HeadBucket": configuration.head,
        "GetBucketLocation": configuration.location,
        "GetBucketVersioning": configuration.versioning,
        "PutBucketVersioning": configuration.set_versioning,
        "GetBucketNotificationConfiguration": configuration.notification,
        "PutBucketNotificationConfiguration": configuration.set_notification,
        "GetObject": objects.get,
        "HeadObject": objects.get,
        "PutObject": objects.put,
        "DeleteObject": objects.delete,
    }


class BucketOperations:
    """Operations on a bucket's configuration."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def create(self, call: Call) -> Answer:
        """CreateBucket."""
        self._buckets.create(call.bucket)
        return Answer(200, b"", {"Location": f"/{call.bucket}"})

    def head(self, _call: Call) -> Answer:
        """HeadBucket; the caller adds the region."""
        return Answer(200, b"", dict(_XML), length=0)

    def location(self, call: Call) -> Answer:
        """GetBucketLocation: us-east-1 is an empty element."""
        region = self._buckets.find(call.bucket).region
        return _xml("LocationConstraint", "" if region == "us-east-1" else region)

    def versioning(self, call: Call) -> Answer:
        """GetBucketVersioning: no status if versioning was never enabled."""
        contents = self._buckets.find(call.bucket).contents
        if isinstance(contents, GeneratedBucket):
            return _xml("VersioningConfiguration", _STATES["enabled" if contents.plan.is_versioned else "unversioned"])
        return _xml("VersioningConfiguration", _STATES[self._buckets.find(call.bucket).live.simulated.versioning])

    def set_versioning(self, call: Call) -> Answer:
        """PutBucketVersioning."""
        simulated = self._buckets.find(call.bucket).live.simulated
        found = _STATUS.search(call.request.body)
        if found is None:
            raise errors.S3Error(400, "MalformedXML", "The XML you provided was not well-formed.")
        if found[1] == b"Enabled":
            simulated.enable_versioning()
        else:
            simulated.suspend_versioning()
        return Answer(200, b"", {})

    def notification(self, call: Call) -> Answer:
        """GetBucketNotificationConfiguration: as it was put, or empty."""
        kept = self._buckets.find(call.bucket).notification
        return Answer(200, kept, dict(_XML)) if kept else _xml("NotificationConfiguration", "")

    def set_notification(self, call: Call) -> Answer:
        """PutBucketNotificationConfiguration; this server sends no notifications."""
        self._buckets.find(call.bucket).notification = call.request.body
        return Answer(200, b"", {})


class ObjectOperations:
    """Operations on one object."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def get(self, call: Call) -> Answer:
        """GetObject and HeadObject."""
        live = self._buckets.find(call.bucket).live
        found = live.get(call.key, call.query.get("versionId"))
        headers = {
            "Content-Type": "binary/octet-stream",
            "ETag": f'"{found.entry.etag}"',
            "Last-Modified": _http_date(found.entry),
            **_version_header(found.entry, live.simulated.versioning),
        }
        expected = call.request.headers.get(b"if-match", b"").decode("latin-1").strip('"')
        if expected and expected != found.entry.etag:
            raise errors.precondition_failed()
        if call.request.method == b"HEAD":
            return Answer(200, b"", headers, length=len(found.body))
        return _part(found.body, call.request.headers.get(b"range", b"").decode("latin-1"), headers)

    def put(self, call: Call) -> Answer:
        """PutObject in one request."""
        if len(call.key.encode()) > MAX_KEY_BYTES:
            raise errors.S3Error(400, "KeyTooLongError", "Your key is too long")
        live = self._buckets.find(call.bucket).live
        entry = live.put(call.key, call.request.body)
        return Answer(200, b"", {"ETag": f'"{entry.etag}"', **_version_header(entry, live.simulated.versioning)})

    def delete(self, call: Call) -> Answer:
        """DeleteObject."""
        live = self._buckets.find(call.bucket).live
        version_id = call.query.get("versionId")
        marker = live.delete(call.key, version_id)
        if marker:
            headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
        else:
            headers = {"x-amz-version-id": version_id} if version_id else {}
        return Answer(204, b"", headers)


def _part(body: bytes, wanted: str, headers: dict[str, str]) -> Answer:
    """The bytes that the header Range names; all of them where it is absent or of another form."""
    found = _RANGE.fullmatch(wanted)
    if found is None:
        return Answer(200, body, headers)
    first = int(found[1])
    if first >= len(body):
        raise errors.invalid_range(wanted, len(body))
    part = body[first : int(found[2]) + 1 if found[2] else None]
    headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
    return Answer(206, part, headers)


def _xml(name: str, inner: str) -> Answer:
    return Answer(200, f"{errors.HEAD}<{name} {_NAMESPACE}>{inner}</{name}>".encode(), dict(_XML))


def _version_header(entry: Entry, versioning: str) -> dict[str, str]:
    return {} if versioning == "unversioned" else {"x-amz-version-id": entry.version_id}


def _http_date(entry: Entry) -> str:
    return formatdate(datetime.fromisoformat(entry.last_modified).timestamp(), usegmt=True)
