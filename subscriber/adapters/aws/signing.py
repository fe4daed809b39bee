"""Signature Version 4 for one kind of request: a JSON body posted to one endpoint of one service.

The general algorithm (AWS General Reference, "Create a signed AWS API request") sorts any headers, queries and paths.
Our requests always have the same four or five headers, the path `/` and no query, so the canonical request is a
template, and the signing key is derived once a day. The result equals that of botocore's SigV4Auth byte for byte.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT_TYPE = "application/x-amz-json-1.0"


class Credentials(msgspec.Struct, frozen=True):
    """A key pair; temporary credentials also have a `token`."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, …)"


class Signer:
    """Signs the calls to one endpoint.

    Args:
        host: of the endpoint, with the port unless it is the scheme's default.
        region: of the endpoint.
        service: signing name of the service.
    """

    def __init__(self, host: str, region: str, service: str = "sqs") -> None:
        self._host = host
        self._region = region
        self._service = service
        # Copied for every use: creating one looks up its algorithm in OpenSSL, which costs more than hashing our bytes.
        self._hash = hashlib.sha256()
        self._key_for: tuple[str, str] = ("", "")
        self._keyed = hmac.new(b"", digestmod="sha256")
        # Polls of one queue within a second, hundreds during a backlog, are the same request and share its signature.
        self._latest: tuple[int, str, bytes, Credentials] | None = None
        self._latest_headers: dict[str, str] = {}
        self._second = -1
        self._moment = ""

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
        moment = self._moment_of(second)
        headers = {"content-type": CONTENT_TYPE, "host": self._host, "x-amz-date": moment}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        headers["x-amz-target"] = target
        # The names are in alphabetical order, as the signature requires.
        signed = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"POST\n/\n\n{lines}\n{signed}\n{self._hash_of(body)}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{self._hash_of(canonical.encode())}"
        signature = self._signature(credentials.secret_key, moment[:8], text.encode())
        headers["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _moment_of(self, second: int) -> str:
        if self._second != second:
            self._second, self._moment = second, datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._moment

    def _hash_of(self, content: bytes) -> str:
        hashed = self._hash.copy()
        hashed.update(content)
        return hashed.hexdigest()

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
