"""Switches features on and off beside running writers, and tells which are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.session import session
from subscriber.adapters.postgres.short_locks import SET_LOCK_TIMEOUT, tried_for_locks
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.features import EnabledFeature, Option

TIMEOUT_SECONDS: Final = 60.0
"""For one try: it waits a second for each lock, and creates triggers."""
_IF_DENIED: Final = "Only the owner of the tables can switch features: run this as that role."


async def enabled_features(reader: Reader, schema: str) -> dict[str, EnabledFeature]:
    """The features that are on or being counted, by name; readers may read them.

    Raises:
        StoreError: the database failed.
    """
    rows = await reader.fetch(statement("feature_states", schema), ())
    return {row[0]: _feature(row) for row in rows}


class Features:
    """The features of a schema, switched by its owner. Every method raises StoreError if the database fails.

    Args:
        options: how to connect.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    async def enabled(self) -> dict[str, EnabledFeature]:
        """The features that are on or being counted, by name."""
        async with session(self._options, TIMEOUT_SECONDS, if_denied=_IF_DENIED) as connection:
            rows = await connection.fetch(statement("feature_states", self._options.schema))
        return {row["name"]: _feature((*row,)) for row in rows}

    async def enable(self, name: str, options: Mapping[str, Option]) -> bool:
        """Create the triggers of a feature; False: it is on already, and keeps its options.

        From its end on the feature hears of every change: the triggers wait for the transactions that write.

        Raises:
            SchemaError: other sessions hold locks on the table all the time.
        """
        return await tried_for_locks(
            self._options, lambda: self._enable_once(name, options), f"The feature {name} was not enabled"
        )

    async def disable(self, name: str) -> bool:
        """Drop the triggers of a feature and what it has kept; False: it was off.

        Raises:
            SchemaError: other sessions hold locks on the table all the time.
        """
        return await tried_for_locks(
            self._options, lambda: self._disable_once(name), f"The feature {name} was not disabled"
        )

    async def _enable_once(self, name: str, options: Mapping[str, Option]) -> bool:
        schema = self._options.schema
        table = f"{quoted(schema)}.features"
        async with session(self._options, TIMEOUT_SECONDS, if_denied=_IF_DENIED) as one, one.transaction():
            await one.execute(SET_LOCK_TIMEOUT)
            text = (
                f"INSERT INTO {table} (name, options) VALUES ($1, $2::text::jsonb) ON CONFLICT DO NOTHING RETURNING 1"  # noqa: S608 - quoted
            )
            if await one.fetchval(text, name, msgspec.json.encode(options).decode()) is None:
                return False
            await one.execute(statement(f"feature_{name}_enable", schema))
        return True

    async def _disable_once(self, name: str) -> bool:
        schema = self._options.schema
        async with session(self._options, TIMEOUT_SECONDS, if_denied=_IF_DENIED) as one, one.transaction():
            await one.execute(SET_LOCK_TIMEOUT)
            text = f"DELETE FROM {quoted(schema)}.features WHERE name = $1 RETURNING 1"  # noqa: S608 - quoted
            was_on = await one.fetchval(text, name) is not None
            await one.execute(statement(f"feature_{name}_disable", schema))
        return was_on


def _feature(row: Sequence[Any]) -> EnabledFeature:
    name, options, enabled_at, ready_at = row
    return EnabledFeature(name, msgspec.json.decode(options, type=dict[str, Option]), enabled_at, ready_at)
