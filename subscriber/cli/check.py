"""`subscriber check`: one line with a fix for each problem, the worst first."""

from __future__ import annotations

import sys

import click

from subscriber.check.rules.finding import Finding, as_lines, exit_code_of
from subscriber.check.rules.finding import as_json as json_of
from subscriber.check.run import check as run_checks
from subscriber.cli.environment import read_settings
from subscriber.errors import ConfigurationError, ExitCode
from subscriber.observe.log import bytes_of

_EXIT_CODES = """\b
Exit codes, by the worst error; warnings and notes alone exit 0:
  0  the daemon can start
  2  invalid settings
  3  the database rejects the login or a statement, or is unreachable
  4  SQS or another AWS service rejects a call, or is unreachable
  5  the schema is missing or belongs to another release
"""


@click.command(epilog=_EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the exit code and all findings.")
def check(*, as_json: bool) -> None:
    """Check settings, queues, buckets and database; suggest fixes.

    It changes nothing. It may receive one message of each queue and release it at once, which counts as one receive.
    """
    try:
        found = _findings()
    except ConfigurationError as error:
        found = [Finding("error", ExitCode.CONFIGURATION, "", line) for line in str(error).splitlines()]
    click.echo(json_of(found) if as_json else "\n".join(as_lines(found)))
    sys.exit(exit_code_of(found))


def _findings() -> list[Finding]:
    # Stdout belongs to the findings, which cover what the log would say: only errors are logged, to stderr.
    return run_checks(read_settings(level="error", stream=bytes_of(sys.stderr)))
