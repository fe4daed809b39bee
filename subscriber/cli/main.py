"""The command line: the list of commands, and how a failure ends.

A `SubscriberError` is printed on stderr, one line for each mistake, with its own exit code (`errors.ExitCode`). Any
other exception is logged with its traceback and exits 1. Each command's module is imported when the command runs,
so that `--help`, `--version` and `settings` load neither clients nor servers.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from subscriber.cli import interruption
from subscriber.cli.lazy_group import LazyCommand, LazyGroup
from subscriber.cli.open_files import COMMAND_AT_LEAST, require_open_files
from subscriber.errors import ExitCode, SubscriberError, innermost

_EXIT_CODES = """\b
Exit codes:
  0  stopped as asked: messages in flight are stored or released
  1  internal error, see the log
  2  invalid settings or arguments
  3  the database rejects the login or a statement
  4  SQS or another AWS service rejects a call
  5  the schema is missing or belongs to another release
  6  stop timeout exceeded: messages not yet stored are released
 10  reconcile or features rebuild found a difference
 11  exists found that an object is not in the index
"""

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a file system answers to a write that it cannot take: the output goes to one."""

COMMANDS = {
    "run": LazyCommand("subscriber.cli.daemon:run", "Process events from the queues until SIGTERM or SIGINT."),
    "check": LazyCommand("subscriber.cli.check:check", "Check settings, queues, buckets and database; suggest fixes."),
    "migrate": LazyCommand("subscriber.cli.migrate:migrate", "Create or upgrade the database schema, then exit."),
    "control": LazyCommand(
        "subscriber.cli.control:control", "Inspect or override the concurrency of a running daemon."
    ),
    "quarantine": LazyCommand(
        "subscriber.cli.quarantine:quarantine", "List, show or replay messages that could not become rows."
    ),
    "dlq": LazyCommand("subscriber.cli.dlq:dlq", "List, show or redrive messages of the dead-letter queues."),
    "backfill": LazyCommand("subscriber.cli.reconcile:backfill", "Fill the index with what is in a bucket already."),
    "reconcile": LazyCommand(
        "subscriber.cli.reconcile:reconcile", "Compare a bucket with the index, and repair what differs."
    ),
    "jobs": LazyCommand("subscriber.cli.jobs:jobs", "List and steer jobs that compare buckets with the index."),
    "buckets": LazyCommand(
        "subscriber.cli.buckets:buckets", "List the buckets of the index, and how complete it is of each."
    ),
    "search": LazyCommand("subscriber.cli.search:search", "Find objects in the index."),
    "exists": LazyCommand("subscriber.cli.exists:exists", "Look up which of given objects the index has."),
    "count": LazyCommand("subscriber.cli.count:count", "Count the objects, versions and bytes of a bucket or prefix."),
    "du": LazyCommand("subscriber.cli.du:du", "Show which folders of a bucket hold how much."),
    "api": LazyCommand("subscriber.cli.api:api", "Answer searches and look-ups over HTTP."),
    "indexes": LazyCommand(
        "subscriber.cli.indexes:indexes", "Switch optional indexes of the table on and off, beside the daemon."
    ),
    "features": LazyCommand("subscriber.cli.features:features", "Switch counters and other features on and off."),
    "history": LazyCommand("subscriber.cli.history:history", "Show what happened to an object, and what it had been."),
    "diff": LazyCommand("subscriber.cli.history:diff", "Show what differs below a prefix between two moments."),
    "enrich": LazyCommand("subscriber.cli.enrich:enrich", "Show and steer the queue of metadata to ask S3 for."),
    "prune": LazyCommand("subscriber.cli.prune:prune", "Delete old tombstones, replayed messages and ended jobs."),
    "settings": LazyCommand(
        "subscriber.cli.reference:settings", "Print the settings reference, or look up one setting."
    ),
    "failures": LazyCommand("subscriber.cli.reference:failures", "Print how the daemon treats each database failure."),
}


class _Commands(LazyGroup):
    """Commands whose failures end as a sentence and an exit code, and whose interruption is silent."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command, and then call what the entry point has given: the imports are done."""
        found = super().resolve_command(ctx, args)
        if ctx.obj is not None:
            ctx.obj()
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the requested command."""
        try:
            require_open_files(COMMAND_AT_LEAST)
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(interruption.exit_code())
        except Exception as error:
            if isinstance(error, BrokenPipeError) and ctx.invoked_subcommand != "run":
                raise  # whoever reads the output has seen enough; click ends quietly
            ctx.exit(_explain(innermost(error)))


def _explain(error: Exception) -> ExitCode:
    if isinstance(error, SubscriberError):
        for line in str(error).splitlines():
            click.echo(f"subscriber: {line}", err=True)
        return error.exit_code
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - what is left would fail once more at the end
        click.echo(f"subscriber: the output cannot be written: {error.strerror}", err=True)
        return ExitCode.FAILED
    # An unexpected error may cost a late import.
    from subscriber.observe.log import bytes_of, configure, get_logger, is_configured  # noqa: PLC0415 - see above

    if not is_configured():  # the command has no log: structlog's own would show the values of variables
        configure("error", "console", stream=bytes_of(sys.stderr))
    get_logger().critical("daemon.failed", exc_info=error)
    return ExitCode.FAILED


@click.group(
    cls=_Commands,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)
@click.version_option(package_name="subscriber")
def main() -> None:
    """Index the objects of S3 buckets in PostgreSQL, from S3 events in SQS.

    Settings are environment variables; `subscriber settings` lists them.
    """
