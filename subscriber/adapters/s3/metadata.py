"""What an object version is beside its bytes: content type, user metadata, tags, checksum, encryption, object lock.

HeadObject comes first. An object that is replaced between the two requests then has the older ETag beside newer tags,
and the event of its replacement asks for both again; the other way round older tags would stay beside the newer ETag.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final

import msgspec

from subscriber.adapters.aws.http_connection import HttpResponse
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.objects import Buckets, explained
from subscriber.adapters.s3.xml_strict import read_tags
from subscriber.errors import ListingError
from subscriber.flow.request_budget import RequestLimits

METADATA_LIMITS: Final = RequestLimits(at_once=16, per_second=100.0)
"""Of each bucket. Two requests are made for each version."""

_NULL: Final = "null"
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "Http405"})
"""405 answers for a delete marker that is named by its version (HeadObject, S3 API reference)."""
_NOT_FOUND: Final = "NoSuchBucket"
_META: Final = "x-amz-meta-"
_CHECKSUM: Final = "x-amz-checksum-"
_ENCRYPTION: Final[Mapping[str, str]] = {
    "x-amz-server-side-encryption": "method",
    "x-amz-server-side-encryption-aws-kms-key-id": "kms_key_id",
    "x-amz-server-side-encryption-customer-algorithm": "customer_algorithm",
}
_OBJECT_LOCK: Final[Mapping[str, str]] = {
    "x-amz-object-lock-mode": "mode",
    "x-amz-object-lock-retain-until-date": "retain_until",
    "x-amz-object-lock-legal-hold": "legal_hold",
}


class ObjectMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The document of one object version; empty parts are left out of its JSON."""

    etag: str
    """Without quotes; empty where the server names none."""
    content_type: str = ""
    meta: Mapping[str, str] = {}
    """User metadata; names are in lower case, as S3 stores them."""
    tags: Mapping[str, str] = {}
    checksum: Mapping[str, str] = {}
    """Base64 digests by algorithm in lower case, and `type`: FULL_OBJECT or COMPOSITE."""
    encryption: Mapping[str, str] = {}
    object_lock: Mapping[str, str] = {}

    def document(self) -> dict[str, object]:
        """The parts that are not empty, without the ETag, which the index has."""
        parts = msgspec.structs.asdict(self)
        return {name: part for name, part in parts.items() if part and name != "etag"}


class S3MetadataReader(Buckets):
    """An async context that reads the metadata of object versions of any bucket.

    Args:
        template: how buckets are asked, whatever its own bucket.
        limits: of the requests to each bucket.
    """

    def __init__(self, template: BucketOptions | None = None, limits: RequestLimits = METADATA_LIMITS) -> None:
        super().__init__(template or BucketOptions(""), limits)

    async def read(self, bucket: str, key: str, version_id: str) -> ObjectMetadata | None:
        """The metadata of a version, by two requests, each repeated as those of a listing are.

        Args:
            bucket: its name.
            key: of the object.
            version_id: empty for the null version.

        Returns:
            None: the version does not exist, or is a delete marker.

        Raises:
            ListingError: S3's code; `ObjectChanged` where the object was created between the two requests.
            ConfigurationError: AWS's settings cannot be used.
            QueueError: there are no credentials.
        """
        client, attempts = await self.bucket(bucket)
        version = version_id or _NULL
        ask_head = functools.partial(client.head_object, key, version)
        ask_tags = functools.partial(client.object_tagging, key, version)
        try:
            try:
                found: ObjectMetadata | None = await attempts.until_read("HeadObject", ask_head, metadata_of)
            except ListingError as error:
                if error.code != _NOT_FOUND:
                    raise
                found = None  # a HEAD does not say whether the bucket is missing or the object: the next answer does
            tags = await attempts.until_read("GetObjectTagging", ask_tags, lambda answer: read_tags(answer.content))
        except ListingError as error:
            if error.code in _GONE:
                return None
            raise explained(error, bucket, key) from error
        if found is None:
            sentence = f"s3://{bucket}/{key} was created while it was asked for: ask again"
            raise ListingError("ObjectChanged", sentence)
        return msgspec.structs.replace(found, tags=tags)


def metadata_of(response: HttpResponse) -> ObjectMetadata:
    """What the headers of HeadObject say; tags are not among them."""
    headers = {name.decode("latin-1").lower(): _text(value) for name, value in response.headers}
    return ObjectMetadata(
        etag=headers.get("etag", "").strip('"'),
        content_type=headers.get("content-type", ""),
        meta=_after(_META, headers),
        checksum=_after(_CHECKSUM, headers),
        encryption={name: headers[header] for header, name in _ENCRYPTION.items() if header in headers},
        object_lock={name: headers[header] for header, name in _OBJECT_LOCK.items() if header in headers},
    )


def _after(prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in headers.items() if name.startswith(prefix)}


def _text(value: bytes) -> str:
    """A header's text: S3 gives what is not ASCII as encoded words (RFC 2047), other stores as UTF-8."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text))).replace("\0", "\ufffd")
    except (HeaderParseError, UnicodeError, LookupError, ValueError):
        return text
