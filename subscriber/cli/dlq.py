"""`subscriber dlq`: list, show and redrive the messages of the dead-letter queues."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import click
import uvloop

from subscriber.adapters.sqs.client import Sqs
from subscriber.cli import dlq_text
from subscriber.cli.environment import read_settings
from subscriber.cli.format_option import format_option
from subscriber.dead_letters import commands
from subscriber.dead_letters.plan import DeadLetterQueue, chosen
from subscriber.observe.log import bytes_of
from subscriber.options import check_options

Result = TypeVar("Result")
Form = Literal["table", "json"]

_SHOWN_AT_MOST = 1000
_MOVED_AT_MOST = 100_000
"""Fewer than may be in flight in a queue (120,000): those that are not chosen are held until the end."""


@click.group(
    epilog="""\b
Exit codes:
    0  done
    2  invalid settings or arguments
    4  SQS rejects a call
  130  interrupted: what was moved stays moved, the rest is in the dead-letter
       queue; 143 by SIGTERM
"""
)
def dlq() -> None:
    """List, show or redrive messages of the dead-letter queues.

    These are the queues that the RedrivePolicy of each queue in SUBSCRIBER_QUEUE_URLS names.
    """


@dlq.command("list")
@format_option(Form)
def list_(*, form: Form) -> None:
    """List the dead-letter queues: counts, moves that run."""

    async def run(queues: Sqs, found: list[DeadLetterQueue]) -> None:
        moves = [(queue, await commands.moves(queues, queue)) for queue in found]
        for line in dlq_text.queues_json(moves) if form == "json" else dlq_text.queues_table(moves):
            click.echo(line)

    _with_queues(run)


@dlq.command()
@click.argument("queue", required=False)
@click.option("--limit", type=click.IntRange(1, _SHOWN_AT_MOST), default=20, show_default=True, help="Messages.")
@format_option(Form, "How to print; json has the bodies.")
def show(queue: str | None, *, limit: int, form: Form) -> None:
    """Show messages, decoded, and leave them where they are.

    QUEUE is its name or URL; it may be left out where there is one. The messages are invisible while they are read,
    half a minute at most, and each look counts as a receive.
    """

    async def run(queues: Sqs, found: list[DeadLetterQueue]) -> None:
        rows: list[tuple[str, ...]] = [dlq_text.HEADINGS]
        async for letter in commands.look(queues, chosen(found, queue), limit):
            if form == "json":
                click.echo(dlq_text.letter_json(letter))
            else:
                rows.append(dlq_text.letter_row(letter))
        for line in dlq_text.letters_table(rows) if form == "table" else ():
            click.echo(line)

    _with_queues(run)


@dlq.command()
@click.argument("queue", required=False)
@click.option(
    "--per-second", type=click.IntRange(1, 500), default=100, show_default=True, help="Maximum messages a second."
)
@click.option("--reason", "reasons", multiple=True, help="With this reason only, as `show` prints it; may be repeated.")
@click.option("--limit", type=click.IntRange(1, _MOVED_AT_MOST), help="Look at so many messages at most.")
@click.option("--dry-run", is_flag=True, help="Count by reason what is there; move nothing.")
def redrive(queue: str | None, *, per_second: int, reasons: tuple[str, ...], limit: int | None, dry_run: bool) -> None:
    """Move messages back to the queue that they came from.

    SQS itself moves all of them (StartMessageMoveTask). With --reason or --limit, or where the service cannot, this
    command moves them: it sends each and deletes it then, so none is lost whenever it stops.
    """

    async def run(queues: Sqs, found: list[DeadLetterQueue]) -> None:
        source = chosen(found, queue)
        if dry_run:
            letters = [letter async for letter in commands.look(queues, source, min(limit or 100, _SHOWN_AT_MOST))]
            for line in dlq_text.dry_run_text(source, commands.reasons_of(letters), reasons):
                click.echo(line)
            return
        if not reasons and limit is None:
            task = await commands.move_by_sqs(queues, source, per_second, _progress)
            if task is not None:
                click.echo(dlq_text.task_text(source, task))
                return
            click.echo("SQS cannot move them here, or we may not ask it to: this command moves them", err=True)
        at_most = limit or min(source.visible_messages, _MOVED_AT_MOST)
        options = commands.Redrive(at_most, per_second, frozenset(reasons))
        tally = commands.MoveTally()
        try:
            await commands.move(queues, source, options, tally, _progress)
        finally:
            click.echo(dlq_text.tally_text(source, tally))

    _with_queues(run)


def _progress(moved: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{moved} of {total} messages moved", err=True, nl=False)


def _with_queues(run: Callable[[Sqs, list[DeadLetterQueue]], Awaitable[Result]]) -> Result:
    """Run with the queues of the settings, and the dead-letter queues that they name."""
    settings = read_settings(stream=bytes_of(sys.stderr))

    async def opened() -> Result:
        async with Sqs(check_options(settings)) as queues:
            return await run(queues, await commands.dead_letter_queues(queues, settings.queue_urls))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(opened())
