"""ListObjectVersions and ListObjectsV2: from parameters to one page.

Source: the two operations in the S3 API reference. A page is computed from what the bucket holds at this moment.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from testkit.s3 import errors
from testkit.s3.contents import Contents, Position, count_before
from testkit.s3.entries import Form, shown

MAX_KEYS: Final = 1_000
_MAX_INT: Final = 2_147_483_647
_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_AFTER: Final = b"1:"
_AT: Final = b"2:"
"""How continuation tokens begin: the next page comes after the key, or with it."""


class ListingRequest(msgspec.Struct, frozen=True):
    """The parameters of one page."""

    bucket: str
    form: Form
    position: Position
    prefix: bytes
    delimiter: bytes
    max_keys: int
    given: Mapping[str, str]
    """The parameters as they came, for the echo in the page."""


class Page(msgspec.Struct):
    """What a page holds."""

    entries: list[bytes]
    """XML of consecutive entries."""
    common_prefixes: list[bytes]
    count: int = 0
    """Entries and common prefixes."""
    is_truncated: bool = False
    last_key: bytes = b""
    """Where the next page begins: the last key or common prefix."""
    last_version: str = ""
    """The version of the last key; empty after a common prefix."""
    is_before_last_key: bool = False
    """Whether the next page of objects begins with `last_key`, not after it."""


def read_request(bucket: str, query: Mapping[str, str]) -> ListingRequest:
    """The request of one page.

    Raises:
        errors.S3Error: InvalidArgument, as S3 answers.
    """
    encoding = query.get("encoding-type", "")
    if encoding not in ("", "url"):
        raise errors.invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    form = Form(is_versions="versions" in query, is_encoded=encoding == "url")
    return ListingRequest(
        bucket=bucket,
        form=form,
        position=_version_position(query) if form.is_versions else _object_position(query),
        prefix=query.get("prefix", "").encode(),
        delimiter=query.get("delimiter", "").encode(),
        max_keys=_max_keys(query.get("max-keys", str(MAX_KEYS))),
        given=query,
    )


def make_empty_page(contents: Contents, request: ListingRequest) -> Page:
    """A page of objects without entries that is not the last one, as S3 sends where it passed over many delete markers.

    Where nothing follows it is the last page all the same.
    """
    page = make_page(contents, msgspec.structs.replace(request, max_keys=1, delimiter=b""))
    return Page([], [], is_truncated=page.count > 0, last_key=page.last_key, is_before_last_key=True)


def make_page(contents: Contents, request: ListingRequest, page_size: int = MAX_KEYS) -> Page:
    """The page that answers a request; `page_size` is the server's own limit, at most 1,000."""
    page = Page([], [])
    limit = min(request.max_keys, page_size)
    if limit == 0:
        return page
    position = max(request.position, Position(request.prefix), key=lambda each: each.key)
    if request.delimiter:
        _fill_folded(page, contents, request, position, limit)
    else:
        _fill(page, contents, request, position, limit)
    return page


def _fill(page: Page, contents: Contents, request: ListingRequest, position: Position, limit: int) -> None:
    end = successor(request.prefix)
    for run in contents.runs(position, request.form):
        count = count_before(run, end) if end else len(run)
        taken = min(count, limit - page.count)
        page.is_truncated = taken < count
        if taken:
            page.entries.append(run.xml(0, taken, request.form))
            page.count += taken
            page.last_key, page.last_version = run.key(taken - 1), run.version_id(taken - 1)
        if page.is_truncated or count < len(run):
            return


def _fill_folded(page: Page, contents: Contents, request: ListingRequest, position: Position, limit: int) -> None:
    """With a delimiter: keys that have it after the prefix are one common prefix, and are passed over at once."""
    if (folded := common_prefix(position.key, request)) and position.key.rstrip(b"\x00") == folded:
        position = Position(successor(folded))  # the marker was this common prefix
    while position.key.startswith(request.prefix):
        run = next(contents.runs(position, request.form), None)
        if run is None:
            return
        for index in range(len(run)):
            key = run.key(index)
            if not key.startswith(request.prefix):
                return
            if page.count == limit:
                page.is_truncated = True
                return
            page.count += 1
            folded = common_prefix(key, request)
            if folded:
                page.common_prefixes.append(folded)
                page.last_key, page.last_version = folded, ""
                position = Position(successor(folded))
                break
            page.entries.append(run.xml(index, index + 1, request.form))
            page.last_key, page.last_version = key, run.version_id(index)
        else:
            position = Position(page.last_key, page.last_version)


def common_prefix(key: bytes, request: ListingRequest) -> bytes:
    """The common prefix that stands for a key, or nothing."""
    if not key.startswith(request.prefix):
        return b""
    at = key.find(request.delimiter, len(request.prefix))
    return key[: at + len(request.delimiter)] if at >= 0 else b""


def successor(prefix: bytes) -> bytes:
    """The first key after all that begin with a prefix; empty for the empty prefix. UTF-8 has no byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b""


def page_body(page: Page, request: ListingRequest) -> bytes:
    """The page in S3's XML."""
    head = _versions_head(page, request) if request.form.is_versions else _objects_head(page, request)
    name = b"ListVersionsResult" if request.form.is_versions else b"ListBucketResult"
    folded = [
        b"<CommonPrefixes><Prefix>" + shown(prefix, request.form) + b"</Prefix></CommonPrefixes>"
        for prefix in page.common_prefixes
    ]
    opening = f"{errors.HEAD}<{name.decode()} {_NAMESPACE}>".encode()
    return b"".join([opening, head, *page.entries, *folded, b"</", name, b">"])


def _versions_head(page: Page, request: ListingRequest) -> bytes:
    elements = [
        ("Name", request.bucket.encode()),
        ("Prefix", shown(request.prefix, request.form)),
        ("KeyMarker", shown(request.given.get("key-marker", "").encode(), request.form)),
        ("VersionIdMarker", request.given.get("version-id-marker", "").encode()),
    ]
    if page.is_truncated:
        elements.append(("NextKeyMarker", shown(page.last_key, request.form)))
        if page.last_version:
            elements.append(("NextVersionIdMarker", page.last_version.encode()))
    return _elements(elements + _tail(page, request))


def _objects_head(page: Page, request: ListingRequest) -> bytes:
    elements = [("Name", request.bucket.encode()), ("Prefix", shown(request.prefix, request.form))]
    if "start-after" in request.given:
        elements.append(("StartAfter", shown(request.given["start-after"].encode(), request.form)))
    if "continuation-token" in request.given:
        elements.append(("ContinuationToken", request.given["continuation-token"].encode()))
    if page.is_truncated:
        elements.append(("NextContinuationToken", _token(page)))
    elements.append(("KeyCount", str(page.count).encode()))
    return _elements(elements + _tail(page, request))


def _tail(page: Page, request: ListingRequest) -> list[tuple[str, bytes]]:
    elements = [("MaxKeys", str(min(request.max_keys, MAX_KEYS)).encode())]
    if request.delimiter:
        elements.append(("Delimiter", shown(request.delimiter, request.form)))
    if request.form.is_encoded:
        elements.append(("EncodingType", b"url"))
    return [*elements, ("IsTruncated", b"true" if page.is_truncated else b"false")]


def _elements(elements: list[tuple[str, bytes]]) -> bytes:
    return b"".join(b"<%s>%s</%s>" % (name.encode(), value, name.encode()) for name, value in elements)


def _version_position(query: Mapping[str, str]) -> Position:
    key, version_id = query.get("key-marker", ""), query.get("version-id-marker")
    if version_id is not None and not key:
        raise errors.invalid_argument(
            "A version-id marker cannot be specified without a key marker.", "version-id-marker", version_id
        )
    if version_id == "":
        raise errors.invalid_argument("A version-id marker cannot be empty.", "version-id-marker", "")
    if version_id is not None:
        return Position(key.encode(), version_id)
    return Position.after(key.encode()) if key else Position()


def _object_position(query: Mapping[str, str]) -> Position:
    if "continuation-token" in query:
        return _token_position(query["continuation-token"])
    after = query.get("start-after", "")
    return Position.after(after.encode()) if after else Position()


def _token(page: Page) -> bytes:
    """An opaque text for clients, with characters that a query must encode, as S3's have."""
    return base64.b64encode((_AT if page.is_before_last_key else _AFTER) + page.last_key)


def _token_position(token: str) -> Position:
    try:
        decoded = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    kind, key = decoded[: len(_AT)], decoded[len(_AT) :]
    if kind not in (_AFTER, _AT):
        message = "The continuation token provided is incorrect"
        raise errors.invalid_argument(message, "continuation-token", token)
    return Position(key) if kind == _AT else Position.after(key)


def _max_keys(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        message = "Provided max-keys not an integer or within integer range"
        raise errors.invalid_argument(message, "max-keys", text) from None
    if not 0 <= value <= _MAX_INT:
        message = f"Argument maxKeys must be an integer between 0 and {_MAX_INT}"
        raise errors.invalid_argument(message, "maxKeys", text)
    return value
