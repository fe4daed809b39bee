"""Signature Version 4 for two kinds of request: a JSON body posted to one endpoint, and those to a bucket of S3.

The general algorithm (AWS General Reference, "Create a signed AWS API request") sorts any headers, queries and paths.
A call in the JSON protocol always has the same four or five headers, the path `/` and no query, so its canonical
request is a template; a request to S3 has a path, a query and headers of ours. The signing key is derived once a day.
The results equal those of botocore's SigV4Auth and S3SigV4Auth byte for byte.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT_TYPE = "application/x-amz-json-1.0"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""`x-amz-content-sha256` of a request without a body."""
_UNRESERVED = "-_.~"
"""Beside letters and digits; everything else in a query is percent-encoded (RFC 3986, section 2.3)."""
_UNRESERVED_AND_SLASH = f"{_UNRESERVED}/"


class Credentials(msgspec.Struct, frozen=True):
    """A key pair; temporary credentials also have a `token`."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, …)"


class SigningKey:
    """Signs canonical requests for one service in one region; the key is derived once a day.

    Args:
        region: of the endpoint.
        service: signing name of the service.
    """

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        # Copied for every use: creating one looks up its algorithm in OpenSSL, which costs more than hashing our bytes.
        self._hash = hashlib.sha256()
        self._key_for: tuple[str, str] = ("", "")
        self._keyed = hmac.new(b"", digestmod="sha256")
        self._second = -1
        self._moment = ""

    def moment_of(self, second: int) -> str:
        """A Unix second as `x-amz-date` spells it."""
        if self._second != second:
            self._second, self._moment = second, datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._moment

    def hash_of(self, content: bytes) -> str:
        """SHA-256 in hexadecimal digits."""
        hashed = self._hash.copy()
        hashed.update(content)
        return hashed.hexdigest()

    def authorization(self, canonical: str, signed: str, moment: str, credentials: Credentials) -> str:
        """The value of `authorization`.

        Args:
            canonical: the canonical request.
            signed: the names of the signed headers, in order, joined by semicolons.
            moment: `x-amz-date`.
            credentials: of the caller.
        """
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{self.hash_of(canonical.encode())}"
        signature = self._signature(credentials.secret_key, moment[:8], text.encode())
        return f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"

    def _signature(self, secret_key: str, day: str, text: bytes) -> str:
        if self._key_for != (secret_key, day):
            self._key_for, self._keyed = (secret_key, day), self._with_key_of(secret_key, day)
        keyed = self._keyed.copy()
        keyed.update(text)
        return keyed.hexdigest()

    def _with_key_of(self, secret_key: str, day: str) -> hmac.HMAC:
        """An empty HMAC with the signing key of the day."""
        key = f"AWS4{secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, digestmod="sha256")


class Signer:
    """Signs the calls to one endpoint.

    Args:
        host: of the endpoint, with the port unless it is the scheme's default.
        region: of the endpoint.
        service: signing name of the service.
    """

    def __init__(self, host: str, region: str, service: str = "sqs") -> None:
        self._host = host
        self._key = SigningKey(region, service)
        # Polls of one queue within a second, hundreds during a backlog, are the same request and share its signature.
        self._latest: tuple[int, str, bytes, Credentials] | None = None
        self._latest_headers: dict[str, str] = {}

    def headers(self, target: str, body: bytes, credentials: Credentials, now: float) -> dict[str, str]:
        """All headers of a call.

        Args:
            target: `x-amz-target`, service and operation.
            body: the exact bytes to send.
            credentials: of the caller.
            now: Unix seconds, corrected for clock skew.
        """
        request = (int(now), target, body, credentials)
        if request != self._latest:
            self._latest, self._latest_headers = request, self._signed(*request)
        return self._latest_headers

    def _signed(self, second: int, target: str, body: bytes, credentials: Credentials) -> dict[str, str]:
        moment = self._key.moment_of(second)
        headers = {"content-type": CONTENT_TYPE, "host": self._host, "x-amz-date": moment}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        headers["x-amz-target"] = target
        # The names are in alphabetical order, as the signature requires.
        signed = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"POST\n/\n\n{lines}\n{signed}\n{self._key.hash_of(body)}"
        headers["authorization"] = self._key.authorization(canonical, signed, moment, credentials)
        return headers


def canonical_query(parameters: Mapping[str, str]) -> str:
    """The query as the signature wants it: percent-encoded, then sorted. It is sent in this very form."""
    pairs = ((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


class BucketSigner:
    """Signs requests to one bucket and its objects.

    Args:
        host: of the endpoint, with the port unless it is the scheme's default.
        path: of the bucket at this host, already percent-encoded, such as `/` or `/bucket`.
        region: of the endpoint.
        service: signing name of the service.
    """

    def __init__(self, host: str, path: str, region: str, service: str = "s3") -> None:
        self._host = host
        self._path = path
        self._key = SigningKey(region, service)

    def object_path(self, key: str) -> str:
        """The path of an object, percent-encoded once and not normalized, as it is signed and sent."""
        return f"{self._path.rstrip('/')}/{quote(key, safe=_UNRESERVED_AND_SLASH)}"

    def headers(
        self,
        method: str,
        query: str,
        extra: Mapping[str, str],
        credentials: Credentials,
        now: float,
        *,
        path: str = "",
        body: bytes = b"",
    ) -> dict[str, str]:
        """All headers of a request but Content-Length.

        Args:
            method: such as GET.
            query: from `canonical_query`.
            extra: further headers, with lower-case names and stripped values.
            credentials: of the caller.
            now: Unix seconds, corrected for clock skew.
            path: from `object_path`; empty for the bucket itself.
            body: the exact bytes to send.
        """
        moment = self._key.moment_of(int(now))
        digest = self._key.hash_of(body) if body else EMPTY_SHA256
        headers = {"host": self._host, "x-amz-content-sha256": digest, "x-amz-date": moment, **extra}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        signed = ";".join(names)
        canonical = f"{method}\n{path or self._path}\n{query}\n{lines}\n{signed}\n{digest}"
        headers["authorization"] = self._key.authorization(canonical, signed, moment, credentials)
        return headers
