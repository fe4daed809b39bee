"""`subscriber check`: what is wrong and how to mend it, a line each, the worst first."""

from __future__ import annotations

import os
import sys

import click

from subscriber.check.rules.finding import Finding, as_lines, exit_code_of
from subscriber.check.rules.finding import as_json as json_of
from subscriber.errors import ConfigurationError, ExitCode

_EXIT_CODES = """\b
Exit codes, by the worst error; warnings and notes alone exit 0:
  0  the daemon can start
  2  settings that cannot work
  3  the database refuses, or cannot be reached
  4  a queue or AWS refuses, or cannot be reached
  5  the schema is missing or of another release
"""


@click.command(epilog=_EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="As JSON: the exit code, and all parts of each finding.")
def check(*, as_json: bool) -> None:
    """Look at settings, queues, buckets and database, and say what is wrong and how to mend it.

    It changes nothing. One message of each queue may be received for a moment, which its receive count shows.
    """
    try:
        found = _findings()
    except ConfigurationError as error:
        found = [Finding("error", ExitCode.CONFIGURATION, "", line) for line in str(error).splitlines()]
    click.echo(json_of(found) if as_json else "\n".join(as_lines(found)))
    sys.exit(exit_code_of(found))


def _findings() -> list[Finding]:
    from subscriber.observe.log import configure, external_secrets  # noqa: PLC0415 - see above
    from subscriber.settings.table import Settings  # noqa: PLC0415 - see above

    settings = Settings.from_environment(os.environ)
    # What there is to say is said by the findings, which standard output belongs to.
    configure("error", settings.log_format, (*settings.secrets, *external_secrets(os.environ)), sys.stderr.buffer)
    from subscriber.check.run import check as look  # noqa: PLC0415 - see above

    return look(settings)
