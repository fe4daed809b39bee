"""Failures as problem details: application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from subscriber.errors import StoreError
from subscriber.query.reader import SearchTimeoutError
from subscriber.query.search_query import QueryError

AnyRequest: TypeAlias = Request[Any, Any, Any]

RETRY_AFTER_SECONDS: Final = 2


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with one request."""

    type: str
    title: str
    status: int
    detail: str


class BusyError(Exception):
    """Every connection for readers is taken."""


class CostError(Exception):
    """PostgreSQL expects a search to cost more than it may; the text says what to do."""


class UnknownObjectError(Exception):
    """The index has no such object."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A response with the status, its title, and one sentence about this request."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/problem+json",
        headers=dict(headers or {}),
    )


def problem_of(_: AnyRequest, error: Exception) -> Response[bytes]:
    """The response to a failure; what a database says of itself stays out of it."""
    if isinstance(error, ValidationException):
        found: Any = error.extra or []
        details = "; ".join(f"{each.get('key', 'body')}: {each.get('message', 'is invalid')}" for each in found)
        return problem(400, details or error.detail)
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, error.headers)
    for kind, status in _STATUS_BY_KIND.items():
        if isinstance(error, kind):
            return problem(status, str(error), {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None)
    if isinstance(error, StoreError):
        detail = f"the database does not answer as it should ({error.word}): try again, or ask its operator"
        return problem(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return problem(500, "an error inside the server")


_STATUS_BY_KIND: Final[Mapping[type[Exception], int]] = {
    QueryError: 400,
    UnknownObjectError: 404,
    CostError: 422,
    BusyError: 503,
    SearchTimeoutError: 504,
}
