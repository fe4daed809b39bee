"""Faults of the tables themselves: the index refuses rows, the quarantine refuses bodies, or both do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from benchmarks.torture.database import ROLE
from benchmarks.torture.load import HOT_OBJECTS
from benchmarks.torture.scene import Scene
from benchmarks.trial.backlogs import key

REFUSED_OBJECT: Final = HOT_OBJECTS // 2
"""Its rows alone are refused: it is one of those that are told of again and again."""


def every_row_refused(scene: Scene) -> AbstractAsyncContextManager[None]:
    """A trigger on the index raises for every row: no message is to blame, and none may be quarantined for it."""
    return raising(scene, "object_versions", "P0001")


def object_refused_by_trigger(scene: Scene) -> AbstractAsyncContextManager[None]:
    """A trigger on the index raises for the rows of one object: these alone may be quarantined."""
    return raising(scene, "object_versions", "P0001", when=f"NEW.key = '{key(REFUSED_OBJECT)}'")


@asynccontextmanager
async def object_refused_by_check(scene: Scene) -> AsyncIterator[None]:
    """A CHECK on the index refuses the rows of one object: these alone may be quarantined."""
    table = f"{scene.database.schema}.object_versions"
    await scene.database.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (key <> '{key(REFUSED_OBJECT)}') NOT VALID"
    )
    try:
        yield
    finally:
        await scene.database.execute(f"ALTER TABLE {table} DROP CONSTRAINT refused")


@asynccontextmanager
async def quarantine_refused(scene: Scene) -> AsyncIterator[None]:
    """The daemon's role may not write to the quarantine; the index takes every row."""
    table = f"{scene.database.schema}.quarantined_messages"
    await scene.database.execute(f"REVOKE INSERT ON {table} FROM {ROLE}")
    try:
        yield
    finally:
        await scene.database.execute(f"GRANT INSERT ON {table} TO {ROLE}")


@asynccontextmanager
async def quarantine_locked(scene: Scene) -> AsyncIterator[None]:
    """Somebody holds the quarantine for longer than a write may take; the index takes every row."""
    async with scene.database.connected() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {scene.database.schema}.quarantined_messages IN EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def object_refused_everywhere(scene: Scene) -> AsyncIterator[None]:
    """A CHECK on the index refuses the rows of one object, and a trigger on the quarantine every body."""
    async with object_refused_by_check(scene), raising(scene, "quarantined_messages", "P0001"):
        yield


@asynccontextmanager
async def raising(scene: Scene, table: str, sqlstate: str, *, when: str | None = None) -> AsyncIterator[None]:
    """A trigger on `table` raises this `sqlstate` for every row put in, or those that `when` is true of."""
    schema = scene.database.schema
    condition = f"WHEN ({when}) " if when else ""
    await scene.database.execute(
        f"CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'refused on purpose' USING ERRCODE = '{sqlstate}'; END$$",
        f"CREATE TRIGGER refuse BEFORE INSERT ON {schema}.{table} "
        f"FOR EACH ROW {condition}EXECUTE FUNCTION {schema}.refuse()",
    )
    try:
        yield
    finally:
        await scene.database.execute(f"DROP FUNCTION {schema}.refuse() CASCADE")
