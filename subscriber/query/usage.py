"""Counts of a prefix: from the counters where they tell, by reading all of it, or as an estimate that says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import enabled_features
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.statements import quoted
from subscriber.adapters.postgres.usage import usage_by_folder, usage_by_scan
from subscriber.errors import StoreError
from subscriber.features import EnabledFeature, Usage, depth_of, is_counted, state_of
from subscriber.query.patterns import prefix_end
from subscriber.query.reader import SearchTimeoutError
from subscriber.query.search_query import QueryError

Source: TypeAlias = Literal["counters", "scan", "estimate"]

_QUERY_CANCELED: Final = "57014"


class Counted(msgspec.Struct, frozen=True):
    """The answer to a count."""

    bucket: str
    prefix: str
    source: Source
    """Only an `estimate` is not exact."""
    usage: Usage | None
    """None for an estimate."""
    by_storage_class: Mapping[str, Usage] | None = None
    """Of the counters; "" is what neither an event nor a listing named."""
    estimated_rows: int | None = None
    """What PostgreSQL's planner expects: versions, delete markers and tombstones together."""
    analyzed_at: datetime | None = None
    """When the statistics were made that it used; None: never, or long ago."""


class UsageReader:
    """Answers questions about amounts through one connection.

    Every method raises StoreError if the database fails, and SearchTimeoutError if it takes too long.

    Args:
        options: how to connect; a replica will do.
        timeout_seconds: for one statement.
    """

    def __init__(self, options: StoreOptions, timeout_seconds: float) -> None:
        self._schema = options.schema
        self._reader = Reader(options, timeout_seconds)
        self._timeout_seconds = timeout_seconds

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.close()

    async def count(self, bucket: str, prefix: str, *, exact: bool = False) -> Counted:
        """From the counters if they keep the prefix, else an estimate, or with `exact` by reading the prefix."""
        feature = await self._feature()
        if state_of(feature) == "on" and feature is not None and is_counted(prefix, int(feature.options["depth"])):
            found = await usage_by_folder(self._reader, self._schema, bucket, prefix, int(feature.options["depth"]))
            classes = total_by_class(found)
            return Counted(bucket, prefix, "counters", total(classes.values()), classes)
        keys = (prefix, prefix_end(prefix))
        if not exact:
            return await self._estimate(bucket, prefix, keys)
        try:
            return Counted(bucket, prefix, "scan", await usage_by_scan(self._reader, self._schema, bucket, keys))
        except StoreError as error:
            if error.sqlstate != _QUERY_CANCELED:
                raise
            raise SearchTimeoutError(
                f"reading all of s3://{bucket}/{prefix} took longer than {self._timeout_seconds:g} s: allow more time "
                "with --timeout-seconds, or ask for a folder that `subscriber features enable usage` keeps"
            ) from error

    async def tree(self, bucket: str, prefix: str, levels: int, storage_class: str | None) -> list[tuple[str, Usage]]:
        """Folders that begin with a prefix, and so many levels below it, each with what lies in it and not deeper.

        With a storage class, what of it has that class.

        Raises:
            QueryError: the counters are off, or do not go so deep.
        """
        feature = await self._feature()
        if state_of(feature) != "on" or feature is None:
            raise QueryError(_OFF[state_of(feature)])
        kept, wanted = int(feature.options["depth"]), depth_of(prefix) + levels
        if not is_counted(prefix, kept):
            raise QueryError(
                f"the counters keep folders {kept} deep, and {prefix!r} is none of them: name one, with its slash at "
                "the end, or the bucket"
            )
        found = await usage_by_folder(self._reader, self._schema, bucket, prefix, min(kept, wanted))
        return [(folder, usage) for folder, named, usage in found if storage_class in (None, named)]

    async def _feature(self) -> EnabledFeature | None:
        return (await enabled_features(self._reader, self._schema)).get("usage")

    async def _estimate(self, bucket: str, prefix: str, keys: tuple[str, str]) -> Counted:
        text = (
            f"SELECT FROM {quoted(self._schema)}.versions "
            "WHERE bucket = $1::text AND key >= $2::text AND key < $3::text"
        )
        plan = await self._reader.plan(text, (bucket, *keys))
        age = (
            "SELECT greatest(last_analyze, last_autoanalyze) FROM pg_stat_user_tables "
            "WHERE schemaname = $1 AND relname = $2"
        )
        rows = await self._reader.fetch(age, (self._schema, "object_versions"))
        analyzed_at = rows[0][0] if rows else None
        rows_expected = _scanned_rows(plan)
        return Counted(bucket, prefix, "estimate", None, None, rows_expected, analyzed_at)


@asynccontextmanager
async def opened_usage(options: StoreOptions, timeout_seconds: float) -> AsyncIterator[UsageReader]:
    """A reader of amounts, closed at the end of the block."""
    reader = UsageReader(options, timeout_seconds)
    try:
        yield reader
    finally:
        await reader.close()


_OFF: Final = {
    "off": "the counters are off: `subscriber features enable usage` switches them on",
    "counting": "the counters are being made: `subscriber features list` tells when they are on",
}


def total_by_class(parts: Iterable[tuple[str, str, Usage]]) -> dict[str, Usage]:
    """The sum of each storage class, from folder, class and usage."""
    found: dict[str, Usage] = {}
    for _, storage_class, usage in parts:
        found[storage_class] = found.get(storage_class, Usage()).plus(usage)
    return found


def total(parts: Iterable[Usage]) -> Usage:
    """The sum of several usages."""
    found = Usage()
    for part in parts:
        found = found.plus(part)
    return found


def rolled_up(parts: list[tuple[str, Usage]], prefix: str) -> dict[str, Usage]:
    """What lies below each folder, all deeper ones included, from what lies in each; the prefix itself comes first.

    Args:
        parts: folders that begin with the prefix, and what lies in each and not deeper.
        prefix: a folder or "".
    """
    found = {prefix: Usage()}
    for folder, usage in parts:
        names = folder[len(prefix) :].split("/")[:-1]
        for count in range(len(names) + 1):
            path = prefix + "".join(f"{name}/" for name in names[:count])
            found[path] = found.get(path, Usage()).plus(usage)
    return found


def _scanned_rows(plan: dict[str, Any]) -> int:
    """The rows that the scan of a plan expects, whatever stands above it."""
    while plan.get("Plans") and plan.get("Relation Name") != "object_versions":
        plan = plan["Plans"][0]
    return int(plan["Plan Rows"])
