"""The command line: `run`, `migrate`, `settings`, `failures`; `check`, `control`, `quarantine` have files of their own.

It turns failures into sentences: what an operator can mend is said on stderr with an exit code of its own
(`errors.ExitCode`), anything else is logged with its traceback and exits 1. What is heavy to import is
imported by the command that needs it, so that `--help` and `settings` answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from subscriber.cli.check import check
from subscriber.cli.control import control
from subscriber.cli.quarantine import quarantine
from subscriber.errors import ExitCode, SubscriberError
from subscriber.settings.table import Settings

_REFERENCE = """\
# Settings

Every setting is an environment variable, read once at start. All mistakes are reported together, and an
unknown `SUBSCRIBER_` variable is one. AWS's own variables (region, credentials, `AWS_ENDPOINT_URL_SQS` …) keep
their meaning. This page is what `subscriber settings` prints.

| variable | default | takes | meaning |
| --- | --- | --- | --- |
{rows}

## What must add up

The daemon refuses to start unless all of these hold.

{sums}
"""

_EXIT_CODES = """\b
Exit codes:
  0  stopped as asked: what was held is stored or handed back
  1  a failure of its own, see the log
  2  settings or arguments that cannot work
  3  the database refuses
  4  the queue or AWS refuses
  5  the schema is missing or of another release
  6  stopped late: what was not stored was handed back
"""


class _Commands(click.Group):
    """Commands whose failures end as a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the last place that can say what happened
            ctx.exit(_explain(_innermost(error)))


def _innermost(error: Exception) -> Exception:
    """The one error inside groups of one, as a task group wraps the first failure of its tasks."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _explain(error: Exception) -> ExitCode:
    if isinstance(error, SubscriberError):
        for line in str(error).splitlines():
            click.echo(f"subscriber: {line}", err=True)
        return error.exit_code
    from subscriber.observe.log import get_logger  # noqa: PLC0415 - see the module's docstring

    get_logger().critical("daemon.failed", exc_info=error)
    return ExitCode.FAILED


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.version_option(package_name="subscriber")
def main() -> None:
    """S3 event notifications from SQS into an object index in PostgreSQL.

    Settings are environment variables: `subscriber settings` lists them.
    """


main.add_command(check)
main.add_command(control)
main.add_command(quarantine)


@main.command()
@click.option("--migrate", is_flag=True, help="Bring the schema up to date first.")
def run(*, migrate: bool) -> None:
    """Take events from the queues until SIGTERM or SIGINT."""
    settings = _settings()
    from subscriber import app  # noqa: PLC0415 - see the module's docstring

    sys.exit(app.run(settings, migrate=migrate))


@main.command()
def migrate() -> None:
    """Bring the schema of the database up to date, then end."""
    settings = _settings()
    from subscriber import app  # noqa: PLC0415 - see the module's docstring

    applied = app.migrate(settings)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the schema is up to date")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object per setting.")
def settings(*, as_json: bool) -> None:
    """Print every setting: what it means, what it takes, what it is by default."""
    if not as_json:
        click.echo(reference(), nl=False)
        return
    import msgspec  # noqa: PLC0415 - see the module's docstring

    from subscriber.settings.table import settings_table  # noqa: PLC0415 - see the module's docstring

    click.echo(msgspec.json.format(msgspec.json.encode(settings_table())))


def reference() -> str:
    """The reference of the settings in Markdown: what config/README.md holds."""
    from subscriber.settings.constraints import CONSTRAINTS  # noqa: PLC0415 - see the module's docstring
    from subscriber.settings.table import settings_table  # noqa: PLC0415 - see the module's docstring

    rows = [f"| `{row.variable}` | {row.default} | {row.takes} | {row.meaning} |" for row in settings_table()]
    sums = [f"- `{each.formula}`: {each.reason}." for each in CONSTRAINTS]
    return _REFERENCE.format(rows="\n".join(rows), sums="\n".join(sums))


@main.command()
def failures() -> None:
    """Print what each failure of the database leads to: the last part of docs/failures.md."""
    click.echo(treatments(), nl=False)


def treatments() -> str:
    """The table from failure to treatment in Markdown."""
    from subscriber.errors import FAILURES, UNKNOWN_FAILURE  # noqa: PLC0415 - see the module's docstring

    rows = [*((f"`{key}`", failure) for key, failure in FAILURES.items()), ("any other", UNKNOWN_FAILURE)]
    lines = [f"| {key} | `{failure.word}` | `{failure.treatment.value}` | {failure.advice} |" for key, failure in rows]
    return "\n".join(
        ["| SQLSTATE, class or family | word | treatment | what to know |", "| --- | --- | --- | --- |", *lines, ""]
    )


def _settings() -> Settings:
    """The settings of this process; from here on the log is as they say."""
    from subscriber.observe.log import configure, external_secrets  # noqa: PLC0415 - see above
    from subscriber.settings.table import Settings  # noqa: PLC0415 - see the module's docstring

    read = Settings.from_environment(os.environ)
    configure(read.log_level, read.log_format, (*read.secrets, *external_secrets(os.environ)))
    return read
