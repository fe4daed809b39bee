"""The oracle on a real table: flawless where everything is right, and each sabotage is found."""

from __future__ import annotations

import asyncpg
import pytest

from benchmarks.baselines.index_rows import rows_of, upsert
from benchmarks.loadtest.prefill import grow
from benchmarks.loadtest.row_checker import CheckResult, judge_backlog, look_before
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from testkit.postgres.postgres import LocalPostgres
from testkit.workload.backlogs import BacklogLoad

LOAD = BacklogLoad("flood", 200, spacing=4)
SABOTAGE = """
DELETE FROM subscriber.object_versions WHERE size_bytes = 1048576;
UPDATE subscriber.object_versions SET etag = 'another' WHERE size_bytes = 1048577;
UPDATE subscriber.object_versions SET key = key || '~' WHERE size_bytes = 1048578;
UPDATE subscriber.object_versions SET etag = 'another' WHERE size_bytes = 7;
INSERT INTO subscriber.quarantined_messages (queue, message_id, reason, detail, body, receive_count)
VALUES ('queue', '1', 'reason', 'detail', 'body', 1);
"""


@pytest.mark.parametrize(
    ("residents", "found"),
    [
        (0, CheckResult(wrong_versions=4, wrong_objects=4, lost=1)),
        (400, CheckResult(wrong_versions=4, wrong_objects=0, lost=1, disturbed_residents=1)),
    ],
)
async def test_every_sabotage_is_found(postgres_server: LocalPostgres, residents: int, found: CheckResult) -> None:
    """A row that is missing, one that differs, one that has moved, a resident changed, a message nobody sent."""
    url = postgres_server.url
    await migrate(StoreOptions(url=url, tls="disable"))
    await grow(url, residents)
    before = await look_before(url)
    assert before.residents[0] == residents
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await upsert(connection, [row for index in range(LOAD.messages) for row in rows_of(LOAD.body(index))])
        assert await judge_backlog(url, LOAD, before) == CheckResult(0, 0, 0)
        await connection.execute(SABOTAGE)
    finally:
        await connection.close()
    assert await judge_backlog(url, LOAD, before) == found
