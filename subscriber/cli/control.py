"""`subscriber control`: inspect and override a running daemon, over HTTP.

It reads three settings only: the address and port of the daemon, and its token. Every command prints the state that
it led to; a failure is one line and an exit code.
"""

from __future__ import annotations

import math
import os
from typing import Any

import click
import msgspec

from subscriber.admin.client import address_of, ask, mode_text, status_text
from subscriber.control.status import ControlStatus
from subscriber.errors import ConfigurationError, SubscriberError
from subscriber.settings.loader import read_settings
from subscriber.settings.table import WRITES_AT_LEAST, WRITES_AT_MOST, declared_settings

_ADDRESS_AND_TOKEN = ("http_host", "http_port", "control_token")

_EXIT_CODES = """\b
Exit codes:
  0  done
  1  no daemon answers at that address, or it is starting or stopping
  2  rejected: invalid arguments, settings or token
"""


@click.group(invoke_without_command=True, epilog=_EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="Without a command: print the whole status as JSON.")
@click.pass_context
def control(ctx: click.Context, *, as_json: bool) -> None:
    """Inspect or override the concurrency of a running daemon.

    Without a command it prints the status. The daemon is the one at SUBSCRIBER_HTTP_HOST and SUBSCRIBER_HTTP_PORT;
    every command except `status` needs its SUBSCRIBER_CONTROL_TOKEN.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status, as_json=as_json)
    elif as_json:
        raise click.UsageError("--json prints the status: write it without a command, or after `status`")


@control.command()
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as JSON.")
def status(*, as_json: bool = False) -> None:
    """Print mode, limit, load, lag, alarms and recent decisions."""
    answer = _ask(None)
    click.echo(msgspec.json.format(msgspec.json.encode(answer)) if as_json else status_text(answer))


@control.command()
def pause() -> None:
    """Stop polling and starting writes.

    Writes in flight finish. Messages that are held stay invisible to other consumers, for at most
    SUBSCRIBER_HOLD_MAX_SECONDS; then they are released.
    """
    _command(mode="pause")


@control.command()
def resume() -> None:
    """End a pause, with the mode that was in force before."""
    _command(mode="resume")


@control.command(context_settings={"ignore_unknown_options": True})  # so that -1 is a number
@click.argument("writes")
def limit(writes: str) -> None:
    """Fix the limit at WRITES concurrent writes.

    Below 1 it is a duty cycle: 0.25 is one writer that is active 25 % of the time.
    """
    _command(mode="limit", limit=_positive(writes))


@control.command()
def auto() -> None:
    """Let the governor set the limit again; ends a pause.

    It starts from the limit that is in force.
    """
    _command(mode="auto")


def _command(**command: Any) -> None:
    click.echo(mode_text(_ask(command)))


def _ask(command: dict[str, Any] | None) -> ControlStatus:
    values = read_settings(os.environ, declared_settings(), only=_ADDRESS_AND_TOKEN)
    return ask(address_of(values["http_host"], values["http_port"]), values["control_token"], command)


def _positive(text: str) -> float:
    """The number of writes; the daemon checks it against its bounds.

    Raises:
        ConfigurationError: it is not a positive number.
    """
    try:
        writes = float(text)
    except ValueError:
        writes = math.nan
    if not (math.isfinite(writes) and writes > 0):
        least, most = _bounds()
        raise ConfigurationError(f"WRITES is a number from {least:g} to {most:g}")
    return writes


def _bounds() -> tuple[float, float]:
    """The bounds of the limit, from the daemon; the widest that the settings allow if it does not answer."""
    try:
        answer = _ask(None)
    except SubscriberError:
        return WRITES_AT_LEAST, WRITES_AT_MOST
    return answer.limit_at_least, answer.limit_at_most
