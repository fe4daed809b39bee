"""The real daemon under seeded faults: no message is lost, no row is wrong, no message is deleted too early.

The driver is that of `make chaos`, with shorter plans. A failed run prints its plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from benchmarks.chaos.database import ChaosDatabase, chaos_database
from benchmarks.chaos.plan import short_plan
from benchmarks.chaos.queues import ChaosQueue, chaos_queues
from benchmarks.chaos.run import run

pytestmark = pytest.mark.usefixtures("untraced")

MESSAGES = 3_000
SHORT = (
    ("daemon-killed", "unknown-events"),
    ("daemon-terminated",),
    ("postgres-stopped-fast", "sqs-duplicates"),
    ("postgres-crashed", "ceph-workload"),
    ("database-read-only", "sqs-failed-entries"),
    ("disk-full", "clock-ahead"),
    ("too-many-connections", "sqs-lost-responses"),
    ("password-rotated", "sqs-short-visibility"),
    ("deadlocks", "network-reset"),
    ("table-changed", "slowloris"),
    ("object-rejected-everywhere", "sqs-500"),
    ("object-rejected-as-value", "wall-clock-jumps"),
    ("object-rejected-as-violation", "sqs-clock-skewed"),
    ("rows-rejected", "network-cut-after-commit"),
    ("rows-rejected-as-value", "slow-logins"),
    ("rows-rejected-as-violation", "silent-first-host"),
    ("row-locked", "credentials-expired"),
    ("network-silent",),
)
"""Of every group the faults that show most in a short time, two in a run; `make chaos` has all, and chance combines
them. A termination is alone because only then is it known whose messages are in flight."""


@pytest.fixture(scope="module")
def database() -> Iterator[ChaosDatabase]:
    """One server for all runs of this file."""
    with chaos_database() as made:
        yield made


@pytest.fixture(scope="module")
def queue() -> Iterator[ChaosQueue]:
    """One SQS emulator with an audit log."""
    with chaos_queues() as made:
        yield made


@pytest.mark.parametrize("faults", [pytest.param(faults, id=" ".join(faults)) for faults in SHORT])
async def test_the_history_under_faults_is_correct(
    database: ChaosDatabase, queue: ChaosQueue, faults: Sequence[str]
) -> None:
    """Every message is stored, quarantined or without a row; every row is the newest event; no delete is early."""
    await database.prepare()
    plan = short_plan(faults, MESSAGES)
    result = await run(plan, database, queue)
    assert not result.errors, f"{plan.describe()}\n" + "\n".join(result.errors)
    assert result.stored + result.quarantined > MESSAGES * 0.9
