"""`subscriber control`: see and move a running daemon, from the environment it was started with.

No other settings are read than where the daemon listens and which token it takes, so that a shell needs only these
three. Every command ends with the state that it led to; whatever goes wrong is one line and an exit code.
"""

from __future__ import annotations

import os
from typing import Any

import click

_ADDRESS_AND_TOKEN = ("http_host", "http_port", "control_token")

_EXIT_CODES = """\b
Exit codes:
  0  done, or shown
  1  no daemon answers there, or it is just starting or stopping
  2  refused: arguments, settings or token
"""


@click.group(invoke_without_command=True, epilog=_EXIT_CODES)
@click.pass_context
def control(ctx: click.Context) -> None:
    """See how fast a running daemon goes, and take it in hand.

    Without a command it shows what `control status` shows. The daemon is the one at SUBSCRIBER_HTTP_HOST and
    SUBSCRIBER_HTTP_PORT; all but `status` needs its SUBSCRIBER_CONTROL_TOKEN.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


@control.command()
@click.option("--json", "as_json", is_flag=True, help="All there is, as JSON.")
def status(*, as_json: bool = False) -> None:
    """Show mode, limit, load, lag, alarms and the last decisions."""
    from subscriber.admin.client import status_text  # noqa: PLC0415 - see the module's docstring

    answer = _ask(None)
    if not as_json:
        click.echo(status_text(answer))
        return
    import msgspec  # noqa: PLC0415 - see the module's docstring

    click.echo(msgspec.json.format(msgspec.json.encode(answer)))


@control.command()
def pause() -> None:
    """Receive no more and begin no write; what has begun is finished, the rest is kept under its lease."""
    _command(mode="pause")


@control.command()
def resume() -> None:
    """End a pause: back to the governor, or to the limit that was fixed."""
    _command(mode="resume")


@control.command()
@click.argument("writes", type=float)
def limit(writes: float) -> None:
    """Fix the limit at WRITES concurrent writes; below one it is the part of its time that one writer works."""
    _command(mode="limit", limit=writes)


@control.command()
def auto() -> None:
    """Let the governor decide again, from the limit in force; ends a pause too."""
    _command(mode="auto")


def _command(**command: Any) -> None:
    from subscriber.admin.client import mode_text  # noqa: PLC0415 - see the module's docstring

    click.echo(mode_text(_ask(command)))


def _ask(command: dict[str, Any] | None) -> Any:
    from subscriber.admin.client import address_of, ask  # noqa: PLC0415 - see the module's docstring
    from subscriber.settings.loader import read_settings  # noqa: PLC0415 - see the module's docstring
    from subscriber.settings.table import declared_settings  # noqa: PLC0415 - see the module's docstring

    read = read_settings(os.environ, declared_settings(), only=_ADDRESS_AND_TOKEN)
    return ask(address_of(read["http_host"], read["http_port"]), read["control_token"], command)
