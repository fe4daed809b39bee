"""The parameters of a request, as a query of the index. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from litestar.params import Parameter

from subscriber.query.search_query import Moment, Query, QueryError

ROWS_AT_MOST: Final = 10_000
DEFAULT_ROWS: Final = 1000
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_SIZE: Final = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The query string of a search; all conditions hold at once."""

    bucket: str
    prefix: str = ""
    suffix: str = ""
    glob: str | None = None
    regex: str | None = None
    larger_than_bytes: Annotated[int | None, Parameter(ge=0, le=_MAX_SIZE)] = None
    smaller_than_bytes: Annotated[int | None, Parameter(ge=0, le=_MAX_SIZE)] = None
    since: str | None = None
    """An age, as in 7d, or a time, as in 2026-11-22T08:00Z."""
    until: str | None = None
    versions: bool = False
    order: Literal["key", "size", "time"] = "key"
    reverse: bool = False
    limit: Annotated[int, Parameter(ge=1, le=ROWS_AT_MOST)] = DEFAULT_ROWS
    token: str | None = None

    def query(self) -> Query:
        """The query of the index.

        Raises:
            QueryError: a condition can never be met or means nothing.
        """
        return Query(
            bucket=self.bucket,
            prefix=self.prefix,
            suffix=self.suffix,
            glob=self.glob,
            regex=self.regex,
            larger_than_bytes=self.larger_than_bytes,
            smaller_than_bytes=self.smaller_than_bytes,
            since=moment_of("since", self.since),
            until=moment_of("until", self.until),
            versions=self.versions,
            order=self.order,
            reverse=self.reverse,
        )


CONDITIONS: Final = frozenset(field.name for field in fields(Conditions))


def require_known(names: Iterable[str], known: Iterable[str]) -> None:
    """A misspelled condition would otherwise find too much.

    Raises:
        QueryError: a parameter is none of the known ones.
    """
    known = frozenset(known)
    for name in names:
        if name not in known:
            raise QueryError(f"there is no parameter {name!r}: write {', '.join(sorted(known))}")


def require_place(bucket: str, prefix: str) -> None:
    """Check the names of a bucket and a prefix.

    Raises:
        QueryError: no bucket or key can be called so.
    """
    Query(bucket=bucket, prefix=prefix)


def moment_of(name: str, text: str | None) -> Moment | None:
    """A time or an age; a time without a zone is UTC.

    Raises:
        QueryError: it is neither.
    """
    if text is None:
        return None
    if age := re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII):
        return timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise QueryError(f"{name} is neither an age nor a time: write 7d, 2026-11-22 or 2026-11-22T08:00Z") from None


def object_of(raw_path: bytes, route: str) -> tuple[str, str]:
    """Bucket and key, as the path of the request has them: a framework would fold // in a key to one.

    Raises:
        QueryError: it names no object, or is not UTF-8 in percent-encoding.
    """
    path = raw_path.partition(b"?")[0].decode("latin-1")
    bucket, _, key = path.removeprefix(route).partition("/")
    try:
        bucket, key = unquote(bucket, errors="strict"), unquote(key, errors="strict")
    except UnicodeDecodeError:
        raise QueryError("the path is not UTF-8 in percent-encoding (RFC 3986, section 2.5)") from None
    if not bucket or not key:
        raise QueryError(f"the path names no object: write {route}BUCKET/KEY")
    return bucket, key
