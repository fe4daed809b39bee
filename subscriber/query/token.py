"""The token of a page: where the next one begins, and to which search it belongs. Pure.

It contains a digest of the query, so that a token of another search is refused and not taken for a place in this one,
and a checksum, so that a damaged token is told from a foreign one. It is no secret and no proof of who made it: all it
decides is where a page of its reader begins.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from subscriber.query.search_query import Found, Query, QueryError, canonical

_DIGEST_BYTES: Final = 12
_FORMAT: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_TOKEN: Final = 8192
"""Characters; a position holds a key and a version id, at most 1,024 bytes each, escaped in JSON."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page, by what the search is ordered by."""

    key: str
    version_id: str
    size_bytes: int | None = None
    microseconds: int | None = None
    """Event time since 1970."""

    @property
    def event_time(self) -> datetime:
        """The time of a position in an order by time."""
        return _EPOCH + (self.microseconds or 0) * _MICROSECOND


class _Token(msgspec.Struct, frozen=True, array_like=True):
    format: int
    query: str
    asked_at: int
    """Microseconds since 1970: ages of the query are counted from here on all pages."""
    position: Position


def position_of(query: Query, row: Found) -> Position:
    """The position after a row."""
    if query.order == "size":
        return Position(row.key, row.version_id, size_bytes=row.size_bytes)
    if query.order == "time":
        return Position(row.key, row.version_id, microseconds=(row.event_time - _EPOCH) // _MICROSECOND)
    return Position(row.key, row.version_id)


def token_after(query: Query, row: Found, asked_at: datetime) -> str:
    """The token of the page that begins after a row."""
    asked = (asked_at - _EPOCH) // _MICROSECOND
    text = msgspec.json.encode(_Token(_FORMAT, query_digest(query), asked, position_of(query, row)))
    return base64.urlsafe_b64encode(_checksum(text) + text).rstrip(b"=").decode()


def read_token(token: str, query: Query) -> tuple[Position, datetime]:
    """The position, and when the first page was asked for.

    Raises:
        QueryError: the token is damaged, of another release, or of another search.
    """
    found = _decoded(token)
    if found.query != query_digest(query):
        raise QueryError(
            "the token belongs to another search: repeat the bucket, the conditions and the order of the search that "
            "gave it, or leave it out to begin anew"
        )
    return found.position, _EPOCH + found.asked_at * _MICROSECOND


def query_digest(query: Query) -> str:
    """The same for equal queries, whatever process asks."""
    text = msgspec.json.encode([_FORMAT, canonical(query)], order="sorted")
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()


def _decoded(token: str) -> _Token:
    try:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError  # noqa: TRY301 - one answer for all that is wrong
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        checksum, text = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if checksum != _checksum(text):
            raise ValueError  # noqa: TRY301 - the same
        return msgspec.json.decode(text, type=_Token)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise QueryError("the token is damaged: copy it whole, or leave it out to begin anew") from None


def _checksum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
