"""The row checker on a real table: no fault if all rows are right, and each corruption is found."""

from __future__ import annotations

import asyncpg
import pytest

from benchmarks.baselines.index_rows import rows_of, upsert
from benchmarks.loadtest.prefill import prefill
from benchmarks.loadtest.row_checker import CheckResult, check_backlog, take_snapshot
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from testkit.postgres.postgres import LocalPostgres
from testkit.workload.backlogs import BacklogLoad

LOAD = BacklogLoad("flood", 200, spacing=4)
CORRUPTION = """
DELETE FROM subscriber.object_versions WHERE size_bytes = 1048576;
UPDATE subscriber.object_versions SET etag = 'another' WHERE size_bytes = 1048577;
UPDATE subscriber.object_versions SET key = key || '~' WHERE size_bytes = 1048578;
UPDATE subscriber.object_versions SET etag = 'another' WHERE size_bytes = 7;
INSERT INTO subscriber.quarantined_messages (queue, message_id, reason, detail, body, receive_count)
VALUES ('queue', '1', 'reason', 'detail', 'body', 1);
"""


@pytest.mark.parametrize(
    ("prefilled", "found"),
    [
        (0, CheckResult(wrong_versions=4, wrong_objects=4, lost=1)),
        (400, CheckResult(wrong_versions=4, wrong_objects=0, lost=1, changed_prefilled_rows=1)),
    ],
)
async def test_every_corruption_is_found(postgres_server: LocalPostgres, prefilled: int, found: CheckResult) -> None:
    """A missing row, one that differs, one under another key, a changed prefilled row, a message nobody sent."""
    url = postgres_server.url
    await migrate(StoreOptions(url=url, tls="disable"))
    await prefill(url, prefilled)
    before = await take_snapshot(url)
    assert before.prefilled[0] == prefilled
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await upsert(connection, [row for index in range(LOAD.messages) for row in rows_of(LOAD.body(index))])
        assert await check_backlog(url, LOAD, before) == CheckResult(0, 0, 0)
        await connection.execute(CORRUPTION)
    finally:
        await connection.close()
    assert await check_backlog(url, LOAD, before) == found
