"""The real daemon under seeded faults: no message is lost, no row is wrong, no message is deleted too early.

The driver is that of `make chaos`, with shorter plans. A failed run prints its seed; `make chaos SEED=… RUNS=1`
repeats it at full length.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.database import ChaosDatabase, chaos_database
from benchmarks.chaos.plan import plan_of
from benchmarks.chaos.queues import ChaosQueue, chaos_queues
from benchmarks.chaos.run import run

pytestmark = pytest.mark.usefixtures("untraced")

MESSAGES = 3_000
NAMES = list(FAULTS)
SHORT = (
    "daemon-killed",
    "daemon-terminated",
    "postgres-stopped-fast",
    "postgres-crashed",
    "database-read-only",
    "disk-full",
    "too-many-connections",
    "password-rotated",
    "deadlocks",
    "table-changed",
    "object-rejected-everywhere",
    "rows-rejected",
    "network-silent",
    "network-reset",
    "network-cut-after-commit",
    "sqs-500",
    "sqs-failed-entries",
    "sqs-lost-responses",
    "sqs-duplicates",
    "sqs-short-visibility",
    "sqs-clock-skewed",
    "credentials-expired",
    "wall-clock-jumps",
)
"""Of every group the faults that show most in a short time; `make chaos` has all of them, and combinations."""


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


@pytest.mark.parametrize("seed", [pytest.param(NAMES.index(name), id=name) for name in SHORT])
async def test_the_history_under_a_fault_is_correct(database: ChaosDatabase, queue: ChaosQueue, seed: int) -> None:
    """Every message is stored, quarantined or without a row; every row is the newest event; no delete is early."""
    await database.prepare()
    plan = plan_of(seed, MESSAGES, is_short=True)
    result = await run(plan, database, queue)
    assert not result.errors, f"{plan.describe()}\n" + "\n".join(result.errors)
    assert result.stored + result.quarantined > MESSAGES * 0.9
