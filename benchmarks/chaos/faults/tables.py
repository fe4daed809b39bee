"""Faults of the tables themselves: the index refuses rows, the quarantine refuses bodies, or both do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.database import ROLE
from benchmarks.chaos.load import HOT_OBJECTS
from testkit.workload.backlogs import key

REFUSED_OBJECT: Final = HOT_OBJECTS // 2
"""Its rows alone are refused: it is one of those that are told of again and again."""


def every_row_refused(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index raises for every row: no message is to blame, and none may be quarantined for it."""
    return raising(scene, "object_versions", "P0001")


def object_refused_by_trigger(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """A trigger on the index raises for the rows of one object: these alone may be quarantined."""
    return raising(scene, "object_versions", "P0001", when=f"NEW.key = '{key(REFUSED_OBJECT)}'")


def object_refused_by_check(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """A CHECK on the index refuses the rows of one object: these alone may be quarantined."""
    table = f"{scene.database.schema}.object_versions"
    return _changed(
        scene,
        f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (key <> '{key(REFUSED_OBJECT)}') NOT VALID",
        undo=f"ALTER TABLE {table} DROP CONSTRAINT refused",
    )


def quarantine_refused(scene: RunContext) -> AbstractAsyncContextManager[None]:
    """The daemon's role may not write to the quarantine; the index takes every row."""
    table = f"{scene.database.schema}.quarantined_messages"
    return _changed(scene, f"REVOKE INSERT ON {table} FROM {ROLE}", undo=f"GRANT INSERT ON {table} TO {ROLE}")


@asynccontextmanager
async def object_refused_everywhere(scene: RunContext) -> AsyncIterator[None]:
    """A CHECK on the index refuses the rows of one object, and a trigger on the quarantine every body."""
    async with object_refused_by_check(scene), raising(scene, "quarantined_messages", "P0001"):
        yield


def raising(
    scene: RunContext, table: str, sqlstate: str, *, when: str | None = None
) -> AbstractAsyncContextManager[None]:
    """A trigger on `table` raises this `sqlstate` for every row put in, or those that `when` is true of."""
    schema = scene.database.schema
    condition = f"WHEN ({when}) " if when else ""
    return _changed(
        scene,
        f"CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'refused on purpose' USING ERRCODE = '{sqlstate}'; END$$",
        f"CREATE TRIGGER refuse BEFORE INSERT ON {schema}.{table} "
        f"FOR EACH ROW {condition}EXECUTE FUNCTION {schema}.refuse()",
        undo=f"DROP FUNCTION {schema}.refuse() CASCADE",
    )


@asynccontextmanager
async def _changed(scene: RunContext, *statements: str, undo: str) -> AsyncIterator[None]:
    await scene.database.execute(*statements)
    try:
        yield
    finally:
        await scene.database.execute(undo)
