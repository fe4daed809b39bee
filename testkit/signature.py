"""Verifies Signature Version 4, so that a client that signs wrongly fails here and not in production.

A canonical text of the request is hashed. The hash, the time and the scope (day, region, service) are signed with a
key derived from the secret and the scope. Source: "Signature Version 4 signing process" of the AWS General Reference,
and botocore/auth.py, against which the tests compare this file.
"""

from __future__ import annotations

import calendar
import functools
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE_SECONDS = 15 * 60
"""How far the time of the signature may differ from the server's clock, in either direction."""

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_KEPT_SCOPES = 64

Headers: TypeAlias = Mapping[bytes, bytes]
"""Names in lower case."""


class Refusals(msgspec.Struct, frozen=True):
    """How a service says no: from a sentence to the exception that its front end answers with."""

    missing: Callable[[str], Exception]
    incomplete: Callable[[str], Exception]
    unknown_key: Callable[[str], Exception]
    expired: Callable[[str], Exception]
    wrong_scope: Callable[[str], Exception]
    mismatch: Callable[[str], Exception]
    skewed: Callable[[str], Exception]


class SignedService(msgspec.Struct, frozen=True):
    """A service's own rules for signatures."""

    name: str
    """As the scope names it: `sqs`, `s3`."""
    refusals: Refusals
    is_storage: bool = False
    """S3 differs from all other services: the path is not encoded a second time, the query is encoded anew from what
    it means, and the header x-amz-content-sha256 stands for the body."""


class SignedRequest(msgspec.Struct, frozen=True, gc=False):
    """The parts of a request that a signature covers."""

    method: bytes
    target: bytes
    """Path and query of the request line, unchanged."""
    headers: Headers
    body: bytes


class Scope(msgspec.Struct, frozen=True):
    """The part of an Authorization header that stays the same for a day."""

    access_key: str
    day: str
    text: str
    """day/region/service/aws4_request"""
    signed_headers: tuple[bytes, ...]
    mac: hmac.HMAC
    """Keyed with the derived signing key; copied for each request, which is cheaper than a new one."""


class SignatureChecker:
    """Accepts requests signed with the server's own key pair or with an additional one, and rejects all others.

    Clients with an additional key are the clients under test: injected faults apply to them only.
    """

    def __init__(self, service: SignedService, access_key: str, secret_key: str) -> None:
        self._service = service
        self._own_key = access_key
        self._secrets = {access_key: secret_key}
        self._expired: frozenset[str] = frozenset()
        # A client uses the same scope for a whole day, so it is parsed and its key derived once.
        self._scope = functools.lru_cache(_KEPT_SCOPES)(self._read_scope)

    def accept(self, additional: Mapping[str, str]) -> None:
        """Accept these secrets, by access key, besides our own; earlier additional keys have expired."""
        own = self._own_key
        self._expired = (self._expired | self._secrets.keys()) - additional.keys() - {own}
        self._secrets = {**additional, own: self._secrets[own]}
        self._scope.cache_clear()

    def check(self, request: SignedRequest, now: float, ahead_seconds: float = 0.0) -> bool:
        """Reject the request unless it is signed with a known secret, unaltered and recent.

        Args:
            request: the request as received.
            now: Unix seconds.
            ahead_seconds: added to `now` for a client with an additional key.

        Returns:
            Whether the client used an additional key, not the server's own.

        Raises:
            Exception: one of the service's refusals.
        """
        refusals = self._service.refusals
        authorization = request.headers.get(b"authorization")
        if not authorization:
            raise refusals.missing("Missing Authentication Token")
        front, separator, signature = authorization.rpartition(b", Signature=")
        if not separator:
            raise refusals.incomplete("Authorization header requires 'Signature' parameter.")
        scope = self._scope(front)
        timestamp = request.headers.get(b"x-amz-date", b"").decode("latin-1")
        _check_coverage(refusals, scope.signed_headers, tuple(request.headers))
        is_additional = scope.access_key != self._own_key
        _check_moment(refusals, timestamp, scope, now + ahead_seconds if is_additional else now)
        if not hmac.compare_digest(_signature(self._service, request, scope, timestamp).encode(), signature):
            raise refusals.mismatch(
                "The request signature we calculated does not match the signature you provided. Check your "
                "AWS Secret Access Key and signing method."
            )
        return is_additional

    def _read_scope(self, front: bytes) -> Scope:
        refusals, name = self._service.refusals, self._service.name
        algorithm, _, rest = front.decode("latin-1").partition(" ")
        fields = dict(field.strip().partition("=")[::2] for field in rest.split(","))
        parts = fields.get("Credential", "").split("/")
        signed_headers = tuple(fields.get("SignedHeaders", "").encode("latin-1").split(b";"))
        if algorithm != ALGORITHM or len(parts) != 5 or not signed_headers[0]:
            raise refusals.incomplete(
                f"Authorization header requires {ALGORITHM}, a full 'Credential' and 'SignedHeaders'."
            )
        access_key, day, region, service, terminator = parts
        if access_key in self._expired:
            raise refusals.expired("The security token included in the request is expired")
        if access_key not in self._secrets:
            raise refusals.unknown_key("The security token included in the request is invalid.")
        if service != name or terminator != "aws4_request":
            raise refusals.wrong_scope(f"Credential should be scoped to correct service: '{name}'.")
        mac = signing_mac(name, self._secrets[access_key], day, region)
        return Scope(access_key, day, "/".join(parts[1:]), signed_headers, mac)


def signing_mac(service_name: str, secret_key: str, day: str, region: str) -> hmac.HMAC:
    """The HMAC that signs requests to a service for one day and region."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service_name, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")


def sign(service: SignedService, request: SignedRequest, access_key: str, secret_key: str, region: str) -> str:
    """The Authorization header for a request to the service that carries host and x-amz-date."""
    timestamp = request.headers[b"x-amz-date"].decode()
    day = timestamp[:8]
    names = tuple(sorted(request.headers))
    text = f"{day}/{region}/{service.name}/aws4_request"
    scope = Scope(access_key, day, text, names, signing_mac(service.name, secret_key, day, region))
    return (
        f"{ALGORITHM} Credential={access_key}/{text}, SignedHeaders={b';'.join(names).decode()}, "
        f"Signature={_signature(service, request, scope, timestamp)}"
    )


def amz_date(unix_seconds: float) -> str:
    """The time in the format of the header x-amz-date."""
    return time.strftime(_TIMESTAMP, time.gmtime(unix_seconds))


@functools.lru_cache(_KEPT_SCOPES)
def _check_coverage(refusals: Refusals, signed: tuple[bytes, ...], headers: tuple[bytes, ...]) -> None:
    # Unsigned headers could be changed in transit: the service requires host and every x-amz header to be signed.
    for name in headers:
        if (name == b"host" or name.startswith(b"x-amz-")) and name not in signed:
            raise refusals.mismatch(f"'{name.decode('latin-1')}' must be a 'SignedHeader' in the AWS Authorization.")
    for name in (*signed, b"host", b"x-amz-date"):
        if name not in headers:
            raise refusals.incomplete(f"The request lacks the header '{name.decode('latin-1')}'.")


def _check_moment(refusals: Refusals, timestamp: str, scope: Scope, now: float) -> None:
    signed_at = _unix_seconds(timestamp)
    if signed_at is None:
        raise refusals.incomplete(f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'.")
    if timestamp[:8] != scope.day:
        raise refusals.mismatch(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.day}' != '{timestamp[:8]}'."
        )
    if signed_at < now - TOLERANCE_SECONDS:
        raise refusals.skewed(
            f"Signature expired: {timestamp} is now earlier than {amz_date(now - TOLERANCE_SECONDS)} "
            f"({amz_date(now)} - 15 min.)"
        )
    if signed_at > now + TOLERANCE_SECONDS:
        raise refusals.skewed(
            f"Signature not yet current: {timestamp} is still later than {amz_date(now + TOLERANCE_SECONDS)} "
            f"({amz_date(now)} + 15 min.)"
        )


@functools.lru_cache(_KEPT_SCOPES)
def _unix_seconds(timestamp: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(timestamp, _TIMESTAMP))
    except ValueError:
        return None


def _signature(service: SignedService, request: SignedRequest, scope: Scope, timestamp: str) -> str:
    canonical = hashlib.sha256(_canonical_request(service, request, scope.signed_headers)).hexdigest()
    text = f"{ALGORITHM}\n{timestamp}\n{scope.text}\n{canonical}"
    mac = scope.mac.copy()
    mac.update(text.encode())
    return mac.hexdigest()


def _canonical_request(service: SignedService, request: SignedRequest, signed_headers: tuple[bytes, ...]) -> bytes:
    headers = request.headers
    lines = b"".join([name + b":" + b" ".join(headers[name].split()) + b"\n" for name in signed_headers])
    path, _, query = request.target.partition(b"?")
    digest = headers.get(b"x-amz-content-sha256") if service.is_storage else None
    if service.is_storage:
        query = _meant_query(query)
    else:
        path = path if path == b"/" else quote(path, safe="/~").encode()
        query = b"&".join(sorted(query.split(b"&"))) if query else b""
    names = b";".join(signed_headers)
    digest = digest or hashlib.sha256(request.body).hexdigest().encode()
    return b"\n".join((request.method, path, query, lines, names, digest))


def _meant_query(query: bytes) -> bytes:
    """The query as S3 signs it: decoded, encoded in the one way of the standard, sorted by name, then by value."""
    if not query:
        return b""
    pairs = [part.partition(b"=")[::2] for part in query.split(b"&")]
    encoded = sorted((_encoded_anew(name), _encoded_anew(value)) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded]).encode()


def _encoded_anew(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="~")
