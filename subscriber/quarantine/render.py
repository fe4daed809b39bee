"""Quarantined messages as text for a person. Bodies come from anywhere: nothing of them reaches the terminal raw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from subscriber.adapters.postgres.quarantine import Kept, ReasonCount
from subscriber.model import Delivery
from subscriber.quarantine.replay import Tally


def counts_text(counts: Sequence[ReasonCount]) -> str:
    """A table of reasons, of which there is one at least."""
    rows = [("waiting", "replayed", "reason", "oldest", "newest")]
    rows += [(str(c.waiting), str(c.replayed), c.reason, _moment(c.oldest), _moment(c.newest)) for c in counts]
    return "\n".join(_table(rows))


def nothing_text(every: Sequence[ReasonCount]) -> str:
    """That no message is meant; of those in the quarantine, why they are there: a reason may be misspelled."""
    if not every:
        return "no message is in quarantine"
    reasons = ", ".join(f"{count.reason} ({count.waiting} waiting, {count.replayed} replayed)" for count in every)
    return f"no message in quarantine is what you ask for; it has {reasons}"


def messages_text(page: Iterable[Kept]) -> Iterator[str]:
    """A line each: when, why, which, and what is wrong with it."""
    for kept in page:
        done = f"  replayed {_moment(kept.replayed_at)}" if kept.replayed_at else ""
        name = kept.queue.rpartition("/")[2]
        where = f"{printable(name)}  {printable(kept.message_id)}"
        yield f"{_moment(kept.quarantined_at)}  {kept.reason:<20}  {where}  {printable(kept.detail)}{done}"


def message_text(kept: Kept, delivery: Delivery) -> Iterator[str]:
    """All there is to say about one, and its body."""
    facts = {
        "queue": kept.queue,
        "message": kept.message_id,
        "quarantined": _moment(kept.quarantined_at),
        "reason": f"{kept.reason}: {kept.detail}",
        "received": f"{kept.receive_count} times",
        "replayed": f"{_moment(kept.replayed_at)} by {kept.replayed_by}" if kept.replayed_at else "no",
        "today": _verdict(delivery),
        "body": f"{len(kept.body)} bytes",
    }
    yield from (f"{name:<12} {printable(value)}" for name, value in facts.items())
    yield ""
    yield from (printable(line) for line in kept.body.decode("utf-8", "backslashreplace").split("\n"))


def message_json(kept: Kept) -> bytes:
    """One message as JSON; bytes of the body that are no UTF-8 are escaped."""
    fields = msgspec.structs.asdict(kept) | {"body": kept.body.decode("utf-8", "backslashreplace")}
    return msgspec.json.encode(fields)


def tally_text(tally: Tally, *, dry_run: bool) -> Iterator[str]:
    """What a replay did, or would do."""
    if dry_run:
        yield f"{tally.replayed} of {tally.seen} messages would be replayed; nothing was written"
    else:
        yield f"{tally.replayed} of {tally.seen} messages replayed, {tally.rows} rows were newer than the index"
    for reason, count in tally.refused.most_common():
        yield f"{count} still refused: {reason}"


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could take for a command."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _verdict(delivery: Delivery) -> str:
    if delivery.rejection is not None:
        return f"still refused, {delivery.rejection.reason}: {delivery.rejection.detail}"
    versions = ", ".join(f"{event.bucket}/{event.key} {event.state}" for event in delivery.events[:3])
    more = ", …" if len(delivery.events) > 3 else ""
    return f"would be written: {versions}{more}" if versions else "would be done: it says nothing about an object"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
