"""What `reconcile` and `backfill` open for their pace."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.cli.reconcile_pace import opened_pace
from subscriber.settings.table import Settings

URL = "postgresql://writer@127.0.0.1:1/lake"


async def test_a_command_without_queues_is_paced_by_the_load_alone() -> None:
    """`--job` and `--anyway` need no SUBSCRIBER_QUEUE_URLS: nothing of SQS is called, no credentials are looked for."""
    environment = {"SUBSCRIBER_DATABASE_URL": URL, "SUBSCRIBER_WRITE_MAX_CONCURRENCY": "0.5"}
    settings = Settings.from_environment(environment, needs_queues=False)
    async with opened_pace(settings, StoreOptions(url=URL, schema="subscriber"), 0.1) as pace:
        assert pace.limit == pytest.approx(0.05)
        async with asyncio.timeout(60), pace.permit():
            pass
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
