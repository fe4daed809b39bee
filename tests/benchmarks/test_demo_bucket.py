"""The end of the demo: a bucket is filled, and lost events are reported and repaired, by real processes."""

from __future__ import annotations

import asyncio
import io
import time
from pathlib import Path

import asyncpg
import pytest

from benchmarks.demo_bucket import COMPARED, FILLED, NEW_KEY, demo_buckets, fill_and_compare
from benchmarks.demo_command import Ended, shortened
from benchmarks.demo_questions import QUESTIONS, ask
from testkit.local_stack import DemoStack, demo_stack, running_load
from testkit.terminal import Screen
from testkit.workload.load import LoadPlan, Phase


def send(running: DemoStack, plan: LoadPlan, record: Path) -> None:
    """Send all events of a plan, and wait until the daemon has stored them."""
    with running_load(running.queue_url, plan, record) as load:
        until = time.monotonic() + 120
        while load.is_running or running.read().unfinished:
            assert time.monotonic() < until, "the queue is not empty"
            time.sleep(0.2)


def add_row(url: str) -> None:
    """Give the index a row that the bucket does not have."""

    async def add() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        await connection.execute(
            'INSERT INTO subscriber.object_versions SELECT (jsonb_populate_record(v, \'{"key": "odd"}\')).* '
            f"FROM subscriber.object_versions v WHERE bucket = '{COMPARED}' AND state = 'present' LIMIT 1"
        )
        await connection.close()

    asyncio.run(add())


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("untraced")
def test_it_reports_exactly_the_lost_events_and_repairs_them(tmp_path: Path) -> None:
    """Both commands print their reports; a change that it did not make itself is a failure."""
    plan = LoadPlan(profile=(Phase(500, 3),), start_second=int(time.time()) - 3_600)
    simulated = next(bucket for bucket in plan.buckets() if bucket.name == COMPARED)
    with demo_stack() as running:
        send(running, plan, tmp_path / "sent.jsonl")
        with demo_buckets(plan, running.queue_url) as server:
            variables = running.client_variables() | {"AWS_ENDPOINT_URL_S3": server.endpoint_url}
            output = io.StringIO()
            assert fill_and_compare(Screen(output), variables, simulated), output.getvalue()
            said = output.getvalue()
            assert f"$ subscriber backfill s3://{FILLED}\n" in said
            assert said.count("3 missing, 1 ghost, 0 stale") == 2
            assert said.count(f"  missing    {NEW_KEY}\n") == 2
            assert "exactly the lost events were reported; versions that only bucket or index has now: 0\n" in said
            answers = io.StringIO()
            ask(Screen(answers), variables)
            assert answers.getvalue().count("\n  $ subscriber ") == len(QUESTIONS)
            assert "exact by the counters" in answers.getvalue()
            assert "marked deleted" in answers.getvalue()
            add_row(running.postgres.url)
            again = io.StringIO()
            assert not fill_and_compare(Screen(again), variables, simulated)
            assert " ghost      odd\n" in again.getvalue()
            assert "FAILED" in again.getvalue()


def test_a_long_report_is_shortened() -> None:
    """Four examples and the number of the others; a report with four of them is printed whole."""
    report = ["s3://lake/: job 1 succeeded", "  written    7 rows", *(f"  missing    raw/{n}" for n in range(7))]
    assert shortened(report[:6]) == report[:6]
    assert shortened(report) == [*report[:6], "  … and 3 more examples"]


def test_kinds_and_keys_are_read_from_a_report() -> None:
    """The lines of examples, and no others."""
    ended = Ended(
        10, ("  drift      1 missing, 0 ghosts", "  missing    raw/a", "  ghost      raw/b", "  written    0 rows")
    )
    assert ended.differences == {("missing", "raw/a"), ("ghost", "raw/b")}
