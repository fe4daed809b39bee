"""`subscriber jobs`: list and steer the jobs that compare buckets with the index."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.cli import jobs_text
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.errors import ConfigurationError
from subscriber.jobs import CONCURRENCY_AT_MOST, Job, JobRange, JobState, RangeState, Tolerance
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.reconcile.job import TRANSITIONS, TUNABLE, Command, rejection, tolerance_of

T = TypeVar("T")
Format: TypeAlias = Literal["table", "json"]

_RANGES_SHOWN = 100
_ID = click.IntRange(1, (1 << 63) - 1)

_format = format_option(Format)


class ToleranceOption(click.ParamType[Tolerance]):
    """A number of ranges, or a percentage."""

    name = "N|PERCENT%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tolerance:
        """The tolerance."""
        try:
            return tolerance_of(str(value))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


@click.group(
    epilog="""\b
Exit codes:
  0  done
  2  there is no such job, its state does not allow it, or invalid arguments
  3  the database rejects the login or a statement
  5  the schema is missing or belongs to another release
"""
)
def jobs() -> None:
    """List and steer jobs that compare buckets with the index.

    Jobs are rows in the database, so this works from anywhere. Workers obey within seconds.
    """


@jobs.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Jobs to print.")
@_format
def list_(*, limit: int, form: Format) -> None:
    """List the newest jobs."""
    found = _run(lambda tables: tables.newest(limit))
    if form == "json":
        _print_json(found)
    elif found:
        click.echo("\n".join(jobs_text.jobs_table(found)))
    else:
        click.echo("there is no job")


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
@click.option(
    "--ranges",
    "states",
    type=click.Choice(get_args(RangeState)),
    multiple=True,
    default=("running", "failed"),
    show_default=True,
    help="Show the ranges in this state; may be repeated.",
)
@_format
def show(*, job_id: int, states: tuple[RangeState, ...], form: Format) -> None:
    """Show a job and some of its ranges."""

    async def find(tables: Jobs) -> tuple[Job, list[JobRange]]:
        return await tables.get(job_id), await tables.ranges(job_id, at_most=_RANGES_SHOWN + 1, states=states)

    job, ranges = _run(find)
    if form == "json":
        _print_json([{"job": job, "ranges": ranges[:_RANGES_SHOWN]}])
        return
    click.echo("\n".join(jobs_text.job_text(job)))
    if ranges:
        click.echo("\n" + "\n".join(jobs_text.ranges_table(ranges[:_RANGES_SHOWN])))
    if len(ranges) > _RANGES_SHOWN:
        click.echo(f"these are the first {_RANGES_SHOWN}; the table job_ranges has all")


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
def pause(*, job_id: int) -> None:
    """Pause a job: its workers let go of their ranges and wait."""
    _steer(job_id, "pause")


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
def resume(*, job_id: int) -> None:
    """Let a paused job go on where it stopped."""
    _steer(job_id, "resume")


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
def cancel(*, job_id: int) -> None:
    """Cancel a job: its workers end; what is done stays done."""
    _steer(job_id, "cancel")


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
def redrive(*, job_id: int) -> None:
    """Let a job that has ended do what failed or is left.

    Each range goes on where it stopped, however long ago that was. What succeeded is not done again.
    """

    async def again(tables: Jobs) -> str:
        job = await tables.get(job_id)
        sources, _ = TRANSITIONS["redrive"]
        if job.state in sources and job.ranges.total == job.ranges.succeeded:
            raise ConfigurationError(f"all ranges of job {job_id} have succeeded: there is nothing to redrive")
        failed = await tables.redrive(job_id, sources)
        if failed is None:
            raise rejection(job_id, "redrive", (await tables.get(job_id)).state)
        ranges = "1 failed range is" if failed == 1 else f"{failed} failed ranges are"
        return f"{ranges} pending again; {jobs_text.state_text(job_id, 'running')}"

    click.echo(_run(again))


@jobs.command()
@click.argument("job_id", metavar="JOB", type=_ID)
@click.option("--concurrency", type=click.IntRange(1, CONCURRENCY_AT_MOST), help="Ranges that all workers do at once.")
@click.option(
    "--tolerated-failures", type=ToleranceOption(), help="Ranges that may fail before the job does, as in 5 or 2.5%."
)
def tune(*, job_id: int, concurrency: int | None, tolerated_failures: Tolerance | None) -> None:
    """Change the concurrency or the tolerance of a job while it runs."""
    if concurrency is None and tolerated_failures is None:
        raise ConfigurationError("nothing to tune: write --concurrency 4, --tolerated-failures 5, or both")

    async def change(tables: Jobs) -> Job:
        done = await tables.tune(job_id, TUNABLE, concurrency=concurrency, tolerance=tolerated_failures)
        job = await tables.get(job_id)
        if not done:
            raise rejection(job_id, "tune", job.state)
        return job

    job = _run(change)
    click.echo(
        f"job {job_id} does {job.concurrency} ranges at once and tolerates {jobs_text.tolerance_text(job.tolerance)}"
    )


def _steer(job_id: int, command: Command) -> None:
    """Give a job the state of a command; one that has it already keeps it."""
    sources, target = TRANSITIONS[command]

    async def move(tables: Jobs) -> JobState:
        if await tables.move(job_id, sources, target):
            return target
        state = (await tables.get(job_id)).state
        if state != target:
            raise rejection(job_id, command, state)
        return state

    click.echo(jobs_text.state_text(job_id, _run(move)))


def _run(work: Callable[[Jobs], Awaitable[T]]) -> T:
    """Run `work` on the tables; stdout belongs to the result, so the log goes to stderr. No queue is called."""

    async def run(options: StoreOptions) -> T:
        tables = Jobs(options)
        try:
            return await work(tables)
        finally:
            await tables.close()

    return run_on_database(read_settings(stream=bytes_of(sys.stderr), needs_queues=False), run)


def _print_json(values: Iterable[object]) -> None:
    for value in values:
        click.echo(msgspec.json.encode(value))
