"""A minimal S3 client: one blocking connection, requests built and signed directly, pages read by the standard library.

It shows what a server really sends. It is meant for tests of servers, not for reading large buckets.
"""

from __future__ import annotations

import calendar
import hashlib
import http.client
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree as ET

import msgspec

from subscriber.model import ListedVersion
from testkit.s3.errors import STORAGE_SERVICE
from testkit.signature import SignedRequest, amz_date, sign

_TIMEOUT_SECONDS: Final = 30.0
_MOST_PAGES: Final = 2_000


class Reply(msgspec.Struct, frozen=True):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class StorageError(Exception):
    """The server answered with an error."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.code = error_code(reply)
        super().__init__(f"{self.status} {self.code}")


class ListedPage(msgspec.Struct, frozen=True):
    """A page, decoded."""

    entries: tuple[ListedVersion, ...]
    """In the order of the page, delete markers too; of ListObjectsV2 with an empty version id."""
    common_prefixes: tuple[str, ...]
    next_parameters: dict[str, str]
    """What asks for the next page; empty on the last one, and where the server does not say."""
    elements: dict[str, str]
    """The text of the elements around the entries, by name, in their order."""


class RawS3:
    """One connection to an S3 endpoint."""

    def __init__(
        self,
        endpoint_url: str,
        access_key: str = "local",
        secret_key: str = "local",
        region: str = "us-east-1",
        host: str = "",
    ) -> None:
        address = urlsplit(endpoint_url)
        self.endpoint_url = endpoint_url
        self._host = host or address.netloc
        self._credentials = (access_key, secret_key, region)
        self._connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def with_credentials(self, access_key: str, secret_key: str) -> RawS3:
        """A connection of its own to the same server; with an empty access key its requests are not signed."""
        return RawS3(self.endpoint_url, access_key, secret_key, self._credentials[2], self._host)

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a signed request and return the answer, whatever its status.

        Args:
            method: of HTTP.
            path: `bucket/key`, not encoded.
            query: parameters, not encoded.
            body: what to send.
            headers: further ones, which are signed too.

        Raises:
            OSError: the connection failed.
            http.client.HTTPException: the answer ended early or is none.
        """
        target = "/" + quote(path, safe="/~")
        if query:
            target += "?" + "&".join(f"{quote(name, safe='')}={quote(text, safe='~')}" for name, text in query.items())
        sent = {
            "host": self._host,
            "x-amz-date": amz_date(time.time()),
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            **(headers or {}),
        }
        signed = {name.encode(): text.encode() for name, text in sent.items()}
        request = SignedRequest(method.encode(), target.encode(), signed, body)
        if self._credentials[0]:
            sent["authorization"] = sign(STORAGE_SERVICE, request, *self._credentials)
        return self._exchange(method, target, body, sent)

    def call(self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """As `send`, for an answer that is expected to be a success.

        Raises:
            StorageError: it is none.
        """
        reply = self.send(method, path, query, body)
        if reply.status >= 300 or error_code(reply):
            raise StorageError(reply)
        return reply

    def page(self, bucket: str, query: Mapping[str, str]) -> ListedPage:
        """One page of a listing; `query` has `versions` or `list-type`.

        Raises:
            StorageError: the server refuses.
            xml.etree.ElementTree.ParseError: the page is no XML.
        """
        return read_page(self.call("GET", bucket, query).body)

    def pages(self, bucket: str, query: Mapping[str, str], most: int = _MOST_PAGES) -> Iterator[ListedPage]:
        """All pages of a listing, at most so many."""
        following: dict[str, str] = {}
        for _ in range(most):
            page = self.page(bucket, {**query, **following})
            yield page
            following = page.next_parameters
            if not following:
                return

    def _exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            self._connection.request(method, target, body, dict(headers))
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens another one
            raise
        return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, answer)


def error_code(reply: Reply) -> str:
    """The code of an error in S3's XML, whatever the status; empty for any other body."""
    if b"<Error>" not in reply.body:
        return ""
    return ET.fromstring(reply.body).findtext("Code") or ""


def read_page(body: bytes) -> ListedPage:
    """A page of either listing.

    Raises:
        xml.etree.ElementTree.ParseError: it is no XML.
    """
    root = ET.fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    is_encoded = root.findtext("EncodingType") == "url"
    entries = [element for element in root if element.tag in ("Version", "DeleteMarker", "Contents")]
    prefixes = [element.findtext("Prefix") or "" for element in root.iter("CommonPrefixes")]
    outer = {element.tag: element.text or "" for element in root if not len(element)}
    return ListedPage(
        entries=tuple(_entry(element, is_encoded=is_encoded) for element in entries),
        common_prefixes=tuple(_decoded(text, is_encoded=is_encoded) for text in prefixes),
        next_parameters=_next_parameters(outer, is_encoded=is_encoded),
        elements=outer,
    )


def _next_parameters(outer: Mapping[str, str], *, is_encoded: bool) -> dict[str, str]:
    if outer.get("IsTruncated") != "true":
        return {}
    if "NextContinuationToken" in outer:
        return {"continuation-token": outer["NextContinuationToken"]}
    if "NextKeyMarker" not in outer:
        return {}  # other servers say that there is more and not where
    following = {"key-marker": _decoded(outer["NextKeyMarker"], is_encoded=is_encoded)}
    if version_id := outer.get("NextVersionIdMarker"):
        following["version-id-marker"] = version_id
    return following


def _entry(element: ET.Element, *, is_encoded: bool) -> ListedVersion:
    version_id = element.findtext("VersionId") or ""
    size, etag = element.findtext("Size"), element.findtext("ETag")
    is_marker = element.tag == "DeleteMarker"
    return ListedVersion(
        key=_decoded(element.findtext("Key") or "", is_encoded=is_encoded),
        version_id="" if version_id == "null" else version_id,
        is_marker=is_marker,
        is_latest=element.findtext("IsLatest", "true") == "true",
        last_modified=_unix_seconds(element.findtext("LastModified") or ""),
        size_bytes=None if is_marker or size is None else int(size),
        etag=None if is_marker or etag is None else etag.strip('"'),
        storage_class=element.findtext("StorageClass"),
    )


def _decoded(text: str, *, is_encoded: bool) -> str:
    return unquote_plus(text, errors="strict") if is_encoded else text


def _unix_seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
