"""Fixtures: a real quarantine and a function that inserts a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.quarantine import Quarantine

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
Put: TypeAlias = Callable[..., Awaitable[None]]


@pytest.fixture
def quarantine(migrated: StoreOptions) -> Quarantine:
    """The quarantine of the test's schema."""
    return Quarantine(migrated)


@pytest.fixture
def put(database: asyncpg.Connection[asyncpg.Record], migrated: StoreOptions) -> Put:
    """Inserts a message into the quarantine."""

    async def insert(
        message_id: str,
        *,
        body: bytes = b"{}",
        reason: str = "not_json",
        queue: str = QUEUE,
        age: timedelta | None = None,
    ) -> None:
        await database.execute(
            "INSERT INTO quarantined_messages (queue, message_id, reason, detail, body, receive_count, quarantined_at) "
            "VALUES ($1, $2, $3, 'a word', $4, 1, now() - $5::interval)",
            queue,
            message_id,
            reason,
            body,
            age or timedelta(),
        )

    return insert
