"""Renders quarantined messages as text. Bodies are untrusted: control characters are escaped for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from subscriber.adapters.postgres.quarantine import QuarantinedMessage, QueueCount, ReasonCount
from subscriber.model import Delivery
from subscriber.quarantine.replay import Tally
from subscriber.queue_url import queue_names


def counts_text(counts: Sequence[ReasonCount]) -> str:
    """A table of at least one reason."""
    rows = [("waiting", "replayed", "reason", "oldest", "newest")]
    rows += [(str(c.waiting), str(c.replayed), c.reason, time_text(c.oldest), time_text(c.newest)) for c in counts]
    return "\n".join(table(rows))


def nothing_text(every: Sequence[ReasonCount]) -> str:
    """The text for an empty result; it lists all reasons in the quarantine, since the given one may be misspelled."""
    if not every:
        return "no message is in quarantine"
    reasons = ", ".join(f"{count.reason} ({count.waiting} waiting, {count.replayed} replayed)" for count in every)
    return f"no message in quarantine matches; the quarantine has {reasons}"


def no_queue_text(queue: str, queues: Sequence[QueueCount]) -> str:
    """The text where no message is of the given queue; it lists the queues, since the name may be misspelled."""
    if not queues:
        return "no message is in quarantine"
    names = _names(each.queue for each in queues)
    others = ", ".join(f"{names[each.queue]} ({each.waiting} waiting, {each.replayed} replayed)" for each in queues)
    return f"no message of queue {printable(queue)} is in quarantine; the quarantine has messages of {others}"


def ambiguous_text(prefix: str, candidates: Sequence[QuarantinedMessage]) -> str:
    """Says that several ids begin with `prefix`, and lists them, a line each."""
    names = _names(each.queue for each in candidates)
    lines = [f"{printable(each.message_id)}  {each.reason}  {names[each.queue]}" for each in candidates]
    return "\n".join([f"several ids begin with {printable(prefix)}; write more of the one to show:", *lines])


def messages_text(page: Sequence[QuarantinedMessage], queues: Iterable[str] = ()) -> Iterator[str]:
    """A line per message: time, reason, queue, id and detail.

    Args:
        page: the messages.
        queues: the URLs of others, from whose names a name must differ.
    """
    names = _names([*queues, *(message.queue for message in page)])
    for message in page:
        done = f"  replayed {time_text(message.replayed_at)}" if message.replayed_at else ""
        where = f"{names[message.queue]}  {printable(message.message_id)}"
        yield f"{time_text(message.quarantined_at)}  {message.reason:<20}  {where}  {printable(message.detail)}{done}"


def message_text(message: QuarantinedMessage, delivery: Delivery) -> Iterator[str]:
    """All facts about one message, then its body."""
    facts = {
        "queue": message.queue,
        "message": message.message_id,
        "quarantined": time_text(message.quarantined_at),
        "reason": f"{message.reason}: {message.detail}",
        "received": "once" if message.receive_count == 1 else f"{message.receive_count} times",
        "replayed": f"{time_text(message.replayed_at)} by {message.replayed_by}" if message.replayed_at else "no",
        "today": _outcome(delivery),
        "body": f"{len(message.body)} bytes",
    }
    yield from (f"{name:<12} {printable(value)}" for name, value in facts.items())
    yield ""
    yield from (printable(line) for line in message.body.decode("utf-8", "backslashreplace").split("\n"))


def message_json(message: QuarantinedMessage) -> bytes:
    """One message as JSON; invalid UTF-8 in the body is escaped."""
    fields = msgspec.structs.asdict(message) | {"body": message.body.decode("utf-8", "backslashreplace")}
    return msgspec.json.encode(fields)


def tally_text(tally: Tally, *, dry_run: bool) -> Iterator[str]:
    """The result of a replay or of a dry run."""
    if dry_run:
        yield f"{tally.replayed} of {tally.seen} messages would be replayed; nothing was written"
    else:
        rows = "1 row was" if tally.rows == 1 else f"{tally.rows} rows were"
        yield f"{tally.replayed} of {tally.seen} messages replayed, {rows} newer than the index"
    for reason, count in tally.rejected.most_common():
        yield f"{count} still rejected: {reason}"


def printable(text: str) -> str:
    """The text with every non-printable character escaped, so that it cannot control the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _names(queues: Iterable[str]) -> dict[str, str]:
    """One name for each queue, by its URL, as metrics and log have it."""
    return {queue: printable(name) for queue, name in queue_names(dict.fromkeys(queues)).items()}


def _outcome(delivery: Delivery) -> str:
    if delivery.rejection is not None:
        return f"still rejected, {delivery.rejection.reason}: {delivery.rejection.detail}"
    versions = ", ".join(f"{event.bucket}/{event.key} {event.state}" for event in delivery.events[:3])
    more = ", …" if len(delivery.events) > 3 else ""
    return f"would be written: {versions}{more}" if versions else "would be marked: it says nothing about an object"


def time_text(time: datetime) -> str:
    """A time to the second, without its zone."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
