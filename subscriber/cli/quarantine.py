"""`subscriber quarantine`: list, show and replay the messages that could not become rows."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from subscriber.errors import ConfigurationError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DEFAULT_RATE = 200.0
"""Messages a second: a replay is in no hurry, and shares the database with the daemon."""


class _Age(click.ParamType[timedelta]):
    """A number and a unit, as in 90s, 15m, 2h or 3d."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The time as a difference."""
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age: write a number and s, m, h or d, as in 15m", param, ctx)
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which messages are meant."""
    for option in (
        click.option("--newer-than", type=_Age(), help="Quarantined less long ago than this, as in 15m, 2h or 3d."),
        click.option("--older-than", type=_Age(), help="Quarantined longer ago than this."),
        click.option("--queue", help="Of this queue alone: its URL or its name."),
        click.option("--reason", "reasons", multiple=True, help="For this reason alone; may be given several times."),
    ):
        command = option(command)
    return command


@click.group()
def quarantine() -> None:
    """Look at the messages that could not become rows, and have them written after all.

    They are gone from their queue: the table quarantined_messages holds the only copy.
    """


@quarantine.command("list")
@_filtered
@click.option("--replayed/--waiting", "is_replayed", default=False, help="Those that were replayed, or that wait.")
@click.option("--all", "is_all", is_flag=True, help="Both.")
@click.option("--limit", type=click.IntRange(0, 100_000), default=20, show_default=True, help="Most messages shown.")
@click.option("--json", "as_json", is_flag=True, help="The messages with their bodies, a line of JSON each.")
def list_(*, is_replayed: bool, is_all: bool, limit: int, as_json: bool, **which: Any) -> None:
    """Count the messages by reason, and show the first of them."""
    settings = _settings()
    from subscriber.quarantine import commands, render  # noqa: PLC0415 - so that --help answers at once

    filters = _filters(None if is_all else is_replayed, **which)
    if as_json:
        for kept in commands.messages(settings, filters, limit):
            click.echo(render.message_json(kept))
        return
    counts = commands.counts(settings, filters)
    click.echo(render.counts_text(counts) if counts else _nothing(settings))
    for line in render.messages_text(commands.messages(settings, filters, limit) if limit else ()):
        click.echo(line)


@quarantine.command()
@click.argument("message_id")
@click.option("--queue", help="Its queue, by URL or name, where two queues have the same id.")
@click.option("--raw", is_flag=True, help="Nothing but the body, byte for byte.")
def show(message_id: str, queue: str | None, *, raw: bool) -> None:
    """Show one message: why it is here, what it would lead to today, and its body."""
    settings = _settings()
    from subscriber.quarantine import commands, render  # noqa: PLC0415 - so that --help answers at once

    found = commands.find(settings, message_id, queue)
    if not found:
        raise ConfigurationError(f"no message {message_id} is in quarantine; `subscriber quarantine list` shows them")
    if raw and len(found) > 1:
        queues = ", ".join(kept.queue for kept, _ in found)
        raise ConfigurationError(f"{len(found)} queues have a message {message_id}: name one with --queue ({queues})")
    for kept, delivery in found:
        click.echo(kept.body if raw else "\n".join(render.message_text(kept, delivery)), nl=not raw)


@quarantine.command()
@_filtered
@click.option("--dry-run", is_flag=True, help="Say what would become of them; write and mark nothing.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1_000_000),
    default=_DEFAULT_RATE,
    show_default=True,
    help="Messages a second at most; 0 is as fast as the database takes them.",
)
@click.option("--by", help="Who does it, for the mark.  [default: user@host]")
def replay(*, dry_run: bool, rate: float, by: str | None, **which: Any) -> None:
    """Decode the messages that wait anew, write their rows, and mark them.

    It may be interrupted and repeated: what was written is not changed by being written again. Messages that are
    still refused keep waiting.
    """
    settings = _settings()
    from subscriber.quarantine import commands, render  # noqa: PLC0415 - so that --help answers at once
    from subscriber.quarantine.replay import ReplayOptions  # noqa: PLC0415 - see above

    options = ReplayOptions(by=by or _who(), rate=rate, dry_run=dry_run)
    tally = commands.replay(settings, _filters(is_replayed=False, **which), options, sys.stderr)
    if not tally.seen:
        click.echo(_nothing(settings))
        return
    for line in render.tally_text(tally, dry_run=dry_run):
        click.echo(line)


def _nothing(settings: Any) -> str:
    """What is said where the filters leave no message."""
    from subscriber.adapters.postgres.quarantine import Filters  # noqa: PLC0415 - see above
    from subscriber.quarantine import commands, render  # noqa: PLC0415 - so that --help answers at once

    return render.nothing_text(commands.counts(settings, Filters()))


def _filters(
    is_replayed: bool | None,  # noqa: FBT001 - one of three states
    *,
    reasons: tuple[str, ...],
    queue: str | None,
    older_than: timedelta | None,
    newer_than: timedelta | None,
) -> Any:
    from subscriber.adapters.postgres.quarantine import Filters  # noqa: PLC0415 - see above

    now = datetime.now(UTC)
    return Filters(
        reasons=reasons or None,
        queue=queue,
        before=now - older_than if older_than is not None else None,
        since=now - newer_than if newer_than is not None else None,
        is_replayed=is_replayed,
    )


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container's user may have no name
        return f"{os.getuid()}@{socket.gethostname()}"


def _settings() -> Any:
    """The settings of this process; what goes wrong meanwhile is told on standard error."""
    from subscriber.observe.log import configure, external_secrets  # noqa: PLC0415 - see above
    from subscriber.settings.table import Settings  # noqa: PLC0415 - see above

    read = Settings.from_environment(os.environ)
    configure(read.log_level, read.log_format, (*read.secrets, *external_secrets(os.environ)), sys.stderr.buffer)
    return read
