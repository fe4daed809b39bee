"""`subscriber reconcile` and `subscriber backfill`: compare a bucket with the index, and repair what differs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeAlias, TypeVar

import click

from subscriber.cli.backfill_inventory import INVENTORY_OPTIONS, InventoryRequest, fill_from_inventory
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.cli.reconcile_job import Request, reconcile_bucket
from subscriber.errors import ConfigurationError
from subscriber.jobs import Tolerance
from subscriber.observe.log import bytes_of
from subscriber.reconcile.inventory.key_list import SourceFormat

Format: TypeAlias = Literal["table", "json"]
F = TypeVar("F", bound=Callable[..., Any])

_ID = click.IntRange(1, (1 << 63) - 1)
WORKERS_AT_MOST = 64
DEFAULT_WORKERS = 4
RANGES_AT_MOST = 10_000
"""Of a plan: children of an array job (AWS Batch user guide, "Array jobs"), and executions at once of a distributed map
(Step Functions developer guide, "Quotas")."""
DEFAULT_REQUESTS_PER_SECOND = 100.0
"""S3 gives a prefix 5,500 reads a second (S3 user guide, "Optimizing performance"); others need some too."""

_EPILOG = """\b
Exit codes:
  0  done: nothing differs, or what differed is repaired
  1  interrupted or cancelled; the job can be gone on with
  2  the bucket is refused, or invalid settings or arguments
  3  the database rejects the login or a statement
  4  the bucket cannot be listed, or ranges of the job failed
  5  the schema is missing or belongs to another release
 10  index and bucket differ, and --repair was not given
"""

_OPTIONS = (
    click.argument("location", metavar="[s3://BUCKET/PREFIX]", required=False),
    click.option("--dry-run", is_flag=True, help="Only report; write nothing to the index."),
    click.option(
        "--grace",
        "grace_seconds",
        type=click.IntRange(0, 604_800),
        help="Seconds after a change in which a key is not judged.  [default: 120]",
    ),
    click.option("--anyway", is_flag=True, help="Go on although the bucket does not send its events to our queues."),
    format_option(Format),
    click.option(
        "--workers",
        type=click.IntRange(1, WORKERS_AT_MOST),
        default=DEFAULT_WORKERS,
        show_default=True,
        help="Ranges of keys that this process does at once.",
    ),
    click.option(
        "--requests-per-second",
        type=click.FloatRange(0.1, 5_000),
        default=DEFAULT_REQUESTS_PER_SECOND,
        show_default=True,
        help="Maximum requests to S3 that start in a second.",
    ),
    click.option("--requester-pays", is_flag=True, help="Pay for the requests to a bucket that demands it."),
    click.option("--job", "job_id", metavar="JOB", type=_ID, help="Work on this job, beside all who already do."),
    click.option(
        "--results",
        metavar="PLACE",
        help="Write what became of each range to a folder or s3://BUCKET/PREFIX at the end.",
    ),
    click.option(
        "--plan",
        "plan_file",
        metavar="PLACE",
        help="Write ranges as JSON Lines to a file or s3://BUCKET/KEY; - is standard output.",
    ),
    click.option(
        "--ranges",
        type=click.IntRange(1, RANGES_AT_MOST),
        help="About how many ranges a plan has.  [default: four times --workers]",
    ),
    click.option(
        "--range",
        "range_text",
        metavar="JSON",
        help="Do one range of a plan, without a job. In an array job of AWS Batch, the place of the plan.",
    ),
)


_WITH_INVENTORY = frozenset(
    {"location", "inventory", "inventory_format", "tolerated_failures", "workers", "results", "anyway"}
)
"""Arguments that mean something where an inventory is read."""


def _options(command: F) -> F:
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def _inventory_options(command: F) -> F:
    for add in reversed(INVENTORY_OPTIONS):
        command = add(command)
    return command


@click.command(epilog=_EPILOG)
@click.option("--repair", is_flag=True, help="Write what differs to the index.")
@_options
def reconcile(*, repair: bool, **arguments: Any) -> None:
    """Compare a bucket with the index, and repair what differs.

    It may be a part of the bucket, with one prefix. What differs is missing in the index, a ghost that only the index
    has, or stale. It is looked at twice, with more than the grace between, so that events under way are no drift.
    Interrupted, the job goes on with --job.
    """
    _run("reconcile", repair=repair, **arguments)


@click.command(epilog=_EPILOG)
@_options
@_inventory_options
@click.pass_context
def backfill(
    ctx: click.Context,
    /,
    *,
    inventory: str | None,
    inventory_format: SourceFormat | None,
    tolerated_failures: Tolerance,
    **arguments: Any,
) -> None:
    """Fill the index with what is in a bucket already.

    It may be a part of the bucket, with one prefix. It may run beside the daemon, and again at any time: it is
    `reconcile --repair` under another name. Subscribe the queue first, so that no change is missed between the two.
    Interrupted, the job goes on with --job.

    With --inventory it reads an inventory of the bucket, or a list of its keys, instead of the bucket. Rows are only
    added then: what an event told stays. Take an inventory whose creationTimestamp lies after the subscription.
    """
    if inventory is None:
        _run("backfill", repair=True, **arguments)
        return
    _require_only(ctx, _WITH_INVENTORY)
    request = InventoryRequest(
        location=arguments["location"],
        inventory=inventory,
        inventory_format=inventory_format,
        concurrency=arguments["workers"],
        tolerated_failures=tolerated_failures,
        results=arguments["results"],
        anyway=arguments["anyway"],
    )
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=not request.anyway)
    sys.exit(fill_from_inventory(settings, request))


def _require_only(ctx: click.Context, allowed: Collection[str]) -> None:
    """Refuse options that would be ignored."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name not in allowed and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise ConfigurationError(f"{parameter.opts[0]} means nothing with --inventory: leave one of them out")


def _run(kind: str, *, repair: bool, dry_run: bool, **arguments: Any) -> None:
    request = Request(kind=kind, repair=repair and not dry_run, **arguments)
    ways = [request.location is not None, request.job_id is not None, request.range_text is not None]
    if sum(ways) != 1:
        raise ConfigurationError("name either a bucket, as in s3://BUCKET/PREFIX, or --job JOB, or --range JSON")
    if request.ranges is not None and request.plan_file is None:
        raise ConfigurationError("--ranges means nothing without --plan: leave one of them out, or name both")
    needs_queues = request.location is not None and not request.anyway
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=needs_queues)
    sys.exit(reconcile_bucket(settings, request))
