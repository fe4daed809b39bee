"""`subscriber quarantine`: list, show and replay the messages that could not become rows."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import msgspec

from subscriber.adapters.postgres.quarantine import Filters
from subscriber.cli.age import Age
from subscriber.cli.environment import read_settings
from subscriber.errors import ConfigurationError
from subscriber.observe.log import bytes_of
from subscriber.quarantine import commands, render
from subscriber.quarantine.replay import ReplayOptions
from subscriber.queue_url import queue_names
from subscriber.settings.table import Settings

_DEFAULT_RATE = 200.0
"""Messages a second: a replay is not urgent, and it shares the database with the daemon."""


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select messages."""
    for option in (
        click.option("--newer-than", type=Age(), help="Quarantined within this time, as in 15m or 3d."),
        click.option("--older-than", type=Age(), help="Quarantined longer ago than this."),
        click.option("--queue", help="Of this queue only: its URL, or its name as shown."),
        click.option("--reason", "reasons", multiple=True, help="With this reason only; may be repeated."),
    ):
        command = option(command)
    return command


@click.group()
def quarantine() -> None:
    """List, show or replay messages that could not become rows.

    They are deleted from their queue: the table quarantined_messages holds the only copy.
    """


@quarantine.command("list")
@_filtered
@click.option("--replayed/--waiting", "is_replayed", default=False, help="Replayed messages, or waiting ones.")
@click.option("--all", "is_all", is_flag=True, help="Both.")
@click.option("--limit", type=click.IntRange(0, 100_000), default=20, show_default=True, help="Messages to print.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: the messages with bodies.")
def list_(*, is_replayed: bool, is_all: bool, limit: int, as_json: bool, **which: Any) -> None:
    """Count the messages by reason, and list the first ones."""
    settings = _settings()
    filters = _with_url(settings, _filters(None if is_all else is_replayed, **which))
    if as_json:
        for kept in commands.messages(settings, filters, limit):
            click.echo(render.message_json(kept))
        return
    counts = commands.counts(settings, filters)
    click.echo(render.counts_text(counts) if counts else _nothing(settings, filters))
    page = commands.messages(settings, filters, limit) if limit else []
    others = [each.queue for each in commands.queues(settings)] if page else []
    for line in render.messages_text(page, others):
        click.echo(line)


@quarantine.command()
@click.argument("message_id")
@click.option("--queue", help="Its queue, by URL or name, if two queues have this id.")
@click.option("--raw", is_flag=True, help="Print only the body, byte for byte.")
def show(message_id: str, queue: str | None, *, raw: bool) -> None:
    """Show a message: its reason, its body, what a replay would do.

    MESSAGE_ID is its id, or the beginning of it if no other id begins so.
    """
    prefix = message_id.removesuffix("…").removesuffix("...")
    if not prefix:
        raise ConfigurationError("MESSAGE_ID is empty; `subscriber quarantine list` shows the ids")
    settings = _settings()
    found = commands.find(settings, prefix, _with_url(settings, Filters(queue=queue)).queue)
    if not found:
        raise ConfigurationError(f"no message {message_id} is in quarantine; `subscriber quarantine list` shows them")
    if len({kept.message_id for kept, _ in found}) > 1:
        raise ConfigurationError(render.ambiguous_text(prefix, [kept for kept, _ in found]))
    if raw and len(found) > 1:
        queues = ", ".join(kept.queue for kept, _ in found)
        raise ConfigurationError(f"{len(found)} queues have a message {message_id}: name one with --queue ({queues})")
    for kept, delivery in found:
        click.echo(kept.body if raw else "\n".join(render.message_text(kept, delivery)), nl=not raw)


@quarantine.command()
@_filtered
@click.option("--dry-run", is_flag=True, help="Print what would happen; write nothing.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1_000_000),
    default=_DEFAULT_RATE,
    show_default=True,
    help="Maximum messages a second; 0 is unlimited.",
)
@click.option("--by", help="Name to record as replayed_by.  [default: user@host]")
def replay(*, dry_run: bool, rate: float, by: str | None, **which: Any) -> None:
    """Decode waiting messages again, write their rows, mark them.

    It may be interrupted and repeated: the upsert is idempotent. Messages that are rejected again stay in quarantine.
    """
    settings = _settings()
    options = ReplayOptions(by=by or _user_at_host(), rate=rate, dry_run=dry_run)
    filters = _with_url(settings, _filters(is_replayed=False, **which))
    tally = commands.replay(settings, filters, options, sys.stderr)
    if not tally.seen:
        click.echo(_nothing(settings, filters))
        return
    for line in render.tally_text(tally, dry_run=dry_run):
        click.echo(line)


def _nothing(settings: Settings, filters: Filters) -> str:
    """The answer where the filters select no message: what there is instead."""
    if filters.queue is not None and not commands.counts(settings, Filters(queue=filters.queue)):
        return render.no_queue_text(filters.queue, commands.queues(settings))
    return render.nothing_text(commands.counts(settings, Filters()))


def _filters(
    is_replayed: bool | None,  # noqa: FBT001 - one of three states
    *,
    reasons: tuple[str, ...],
    queue: str | None,
    older_than: timedelta | None,
    newer_than: timedelta | None,
) -> Filters:
    now = datetime.now(UTC)
    return Filters(
        reasons=reasons or None,
        queue=queue,
        before=now - older_than if older_than is not None else None,
        since=now - newer_than if newer_than is not None else None,
        is_replayed=is_replayed,
    )


def _with_url(settings: Settings, filters: Filters) -> Filters:
    """The filters with a queue's URL, where its name is given as this command shows it: REGION/ACCOUNT/NAME."""
    if filters.queue is None or "/" not in filters.queue or "://" in filters.queue:
        return filters
    names = queue_names(each.queue for each in commands.queues(settings))
    url = next((url for url, name in names.items() if name == filters.queue), filters.queue)
    return msgspec.structs.replace(filters, queue=url)


def _user_at_host() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container's user may have no name
        return f"{os.getuid()}@{socket.gethostname()}"


def _settings() -> Settings:
    """The settings; stdout belongs to the result, so the log goes to stderr. No queue is called."""
    return read_settings(stream=bytes_of(sys.stderr), needs_queues=False)
