"""The routes under /v1/, and those that a supervisor asks."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import Parameter

from subscriber.api.parameters import CONDITIONS, ROWS_AT_MOST, Conditions, object_of, require_known, require_place
from subscriber.api.problems import AnyRequest, Problem, UnknownObjectError
from subscriber.api.searches import Searches
from subscriber.features import DEPTH_AT_MOST
from subscriber.query.reader import KEYS_PER_LOOK_UP, Page
from subscriber.query.search_query import Found, Looked, Query
from subscriber.query.usage import Counted, rolled_up

OBJECTS = "/v1/objects/"


PROBLEMS = {
    status: ResponseSpec(Problem, generate_examples=False, description=why, media_type="application/problem+json")
    for status, why in {
        400: "a parameter, the key or the token of a page is invalid",
        401: "the client's token is none of the server's",
        404: "the index has no such object",
        413: "the body is too large",
        422: "PostgreSQL expects it to cost too much",
        503: "all connections are taken, or the database fails",
        504: "the statement took too long",
    }.items()
}


class Versions(msgspec.Struct, frozen=True):
    """What the index knows of one key, the newest first or as stored."""

    rows: list[Found]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys to look up in one bucket."""

    bucket: Annotated[str, msgspec.Meta(min_length=1)]
    keys: Annotated[list[str], msgspec.Meta(min_length=1, max_length=KEYS_PER_LOOK_UP)]


class Answers(msgspec.Struct, frozen=True):
    """An answer for each key, in their order."""

    rows: list[Looked]


class Folder(msgspec.Struct, frozen=True):
    """A folder, and what lies below it."""

    folder: str
    objects: int
    object_bytes: int
    versions: int
    version_bytes: int
    delete_markers: int


class Folders(msgspec.Struct, frozen=True):
    """The folder that was asked for, and those below it."""

    rows: list[Folder]


Depth: TypeAlias = Annotated[int, Parameter(ge=0, le=DEPTH_AT_MOST)]


@get("/v1/objects", summary="A page of objects, or of versions", responses=PROBLEMS)
async def objects(request: AnyRequest, state: State, conditions: Conditions) -> Response[Page]:
    """The search of `subscriber search`: the token of a page goes with the same conditions to get the next."""
    require_known(request.query_params.keys(), CONDITIONS)
    page = await _searches(state).page(conditions.query(), conditions.limit, conditions.token)
    return tagged(request, page)


@get("/v1/objects/{bucket:str}/{key:path}", summary="One object, or all of its versions", responses=PROBLEMS)
async def one_object(
    request: AnyRequest, state: State, bucket: str, key: str, *, versions: bool = False
) -> Response[Any]:
    """The object of a key, or with `versions=true` all versions and delete markers that exist."""
    require_known(request.query_params.keys(), ["versions"])
    bucket, key = object_of(request.scope["raw_path"], OBJECTS)
    if versions:
        page = await _searches(state).page(Query(bucket=bucket, prefix=key, versions=True), ROWS_AT_MOST, None)
        rows = [row for row in page.rows if row.key == key]
        if rows:
            return tagged(request, Versions(rows))
    else:
        async with _searches(state).one() as search:
            found = (await search.look_up(bucket, [key]))[0]
        if found.exists:
            return tagged(request, found)
    raise UnknownObjectError("the index has no such object; what exists is known only as far as events and jobs told")


@post("/v1/exists", status_code=200, summary="Which of these keys exist?", responses=PROBLEMS)
async def exists(data: Asked, state: State) -> Answers:
    """Each key costs one search in the primary key, however large the index is."""
    async with _searches(state).one() as search:
        return Answers(await search.look_up(data.bucket, data.keys))


@get("/v1/count", summary="How many objects, versions and bytes", responses=PROBLEMS)
async def count(
    request: AnyRequest, state: State, bucket: str, prefix: str = "", *, exact: bool = False
) -> Response[Counted]:
    """Exact unless `source` is `estimate`; `exact=true` reads all of the prefix instead."""
    require_known(request.query_params.keys(), ["bucket", "prefix", "exact"])
    require_place(bucket, prefix)
    async with _searches(state).usage() as usage:
        return tagged(request, await usage.count(bucket, prefix, exact=exact))


@get("/v1/usage", summary="Which folders hold how much", responses=PROBLEMS)
async def usage(
    request: AnyRequest, state: State, bucket: str, prefix: str = "", depth: Depth = 1, storage_class: str | None = None
) -> Response[Folders]:
    """Exact, from the counters of the feature usage; each folder with all that lies below it."""
    require_known(request.query_params.keys(), ["bucket", "prefix", "depth", "storage_class"])
    require_place(bucket, prefix)
    async with _searches(state).usage() as reader:
        found = rolled_up(await reader.tree(bucket, prefix, depth, storage_class), prefix)
    return tagged(request, Folders([Folder(name, *msgspec.structs.astuple(held)) for name, held in found.items()]))


@get("/livez", summary="The process answers", media_type="text/plain")
async def livez() -> str:
    """Whatever the database does."""
    return "ok\n"


@get("/readyz", summary="The database answers", media_type="text/plain")
async def readyz(state: State) -> str:
    """503 while it does not, or while all connections are taken."""
    async with _searches(state).one() as search:
        await search.look_up("readyz", ["readyz"])
    return "ok\n"


def tagged(request: AnyRequest, content: msgspec.Struct) -> Response[Any]:
    """With an entity tag; 304 where the client has this answer (RFC 9110, sections 8.8.3 and 13.1.2)."""
    body = msgspec.json.encode(content)
    # Weak: the same answer may be sent compressed.
    tag = f'W/"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or known == ["*"]:
        return Response(None, status_code=304, headers={"ETag": tag})
    return Response(body, headers={"ETag": tag}, media_type="application/json")


def _searches(state: State) -> Searches:
    found: Searches = state.searches
    return found
