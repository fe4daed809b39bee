"""Faults of the tables themselves: the index rejects rows, the quarantine rejects bodies, or both do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.database import ROLE
from benchmarks.chaos.load import HOT_OBJECTS
from testkit.workload.backlogs import key

REJECTED_OBJECT: Final = HOT_OBJECTS // 2
"""The only object whose rows are rejected; it is one of those that are overwritten again and again."""
_IS_REJECTED_OBJECT = f"NEW.key = '{key(REJECTED_OBJECT)}'"
_DATA_EXCEPTION = "22P02"
_FOREIGN_KEY_VIOLATION = "23503"


def every_row_rejected(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index fails for every row: no message is poison, and none may be quarantined for it."""
    return raising(context, "object_versions", "P0001")


def object_rejected_by_trigger(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index fails for the rows of one object: only its messages may be quarantined."""
    return raising(context, "object_versions", "P0001", when=_IS_REJECTED_OBJECT)


def all_rejected_as_value(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index fails for every row with class 22, a data exception: no message may be quarantined."""
    return raising(context, "object_versions", _DATA_EXCEPTION)


def all_rejected_as_violation(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index fails for every row with class 23, a violation: no message may be quarantined."""
    return raising(context, "object_versions", _FOREIGN_KEY_VIOLATION)


def one_rejected_as_value(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger fails for the rows of one object with class 22, a data exception: only its messages are quarantined."""
    return raising(context, "object_versions", _DATA_EXCEPTION, when=_IS_REJECTED_OBJECT)


def one_rejected_as_violation(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger fails for the rows of one object with class 23, a violation: only its messages are quarantined."""
    return raising(context, "object_versions", _FOREIGN_KEY_VIOLATION, when=_IS_REJECTED_OBJECT)


def object_rejected_by_check(context: RunContext) -> AbstractAsyncContextManager[None]:
    """A CHECK on the index rejects the rows of one object: only its messages may be quarantined."""
    table = f"{context.database.schema}.object_versions"
    return _changed(
        context,
        f"ALTER TABLE {table} ADD CONSTRAINT rejected CHECK (key <> '{key(REJECTED_OBJECT)}') NOT VALID",
        undo=f"ALTER TABLE {table} DROP CONSTRAINT rejected",
    )


def quarantine_denied(context: RunContext) -> AbstractAsyncContextManager[None]:
    """The daemon's role has no INSERT privilege on the quarantine; the index accepts every row."""
    table = f"{context.database.schema}.quarantined_messages"
    return _changed(context, f"REVOKE INSERT ON {table} FROM {ROLE}", undo=f"GRANT INSERT ON {table} TO {ROLE}")


@asynccontextmanager
async def object_rejected_everywhere(context: RunContext) -> AsyncIterator[None]:
    """A CHECK on the index rejects the rows of one object, and a trigger on the quarantine every body."""
    async with object_rejected_by_check(context), raising(context, "quarantined_messages", "P0001"):
        yield


def raising(
    context: RunContext, table: str, sqlstate: str, *, when: str | None = None
) -> AbstractAsyncContextManager[None]:
    """A trigger on `table` raises `sqlstate` for every inserted row, or for those that match `when`."""
    schema = context.database.schema
    condition = f"WHEN ({when}) " if when else ""
    return _changed(
        context,
        f"CREATE FUNCTION {schema}.reject() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'rejected on purpose' USING ERRCODE = '{sqlstate}'; END$$",
        f"CREATE TRIGGER reject BEFORE INSERT ON {schema}.{table} "
        f"FOR EACH ROW {condition}EXECUTE FUNCTION {schema}.reject()",
        undo=f"DROP FUNCTION {schema}.reject() CASCADE",
    )


@asynccontextmanager
async def _changed(context: RunContext, *statements: str, undo: str) -> AsyncIterator[None]:
    await context.database.execute(*statements)
    try:
        yield
    finally:
        await context.database.execute(undo)
