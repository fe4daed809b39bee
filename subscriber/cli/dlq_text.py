"""What `subscriber dlq` prints. Bodies are untrusted: control characters are escaped for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from subscriber.adapters.sqs.dead_letters import DeadLetter, MoveTask
from subscriber.dead_letters.commands import MoveTally
from subscriber.dead_letters.plan import DeadLetterQueue, meaning
from subscriber.quarantine.render import printable, table, time_text
from subscriber.queue_url import queue_name

HEADINGS = ("sent", "receives", "reason", "message", "event", "object or detail")

_Moves = Sequence[tuple[DeadLetterQueue, Sequence[MoveTask] | None]]


def queues_table(moves: _Moves) -> Iterator[str]:
    """A row per dead-letter queue, or a sentence."""
    if not moves:
        yield "no queue of SUBSCRIBER_QUEUE_URLS has a dead-letter queue"
        return
    rows = [("queue", "visible", "in flight", "kept days", "of", "moves")]
    for queue, tasks in moves:
        sources = ", ".join(queue_name(source.url) for source in queue.sources)
        counts = (str(queue.visible_messages), str(queue.in_flight_messages), f"{queue.retention_seconds / 86400:g}")
        rows.append((queue.name, *counts, sources, _running(tasks)))
    yield from table(rows)


def queues_json(moves: _Moves) -> Iterator[bytes]:
    """A line per dead-letter queue."""
    for queue, tasks in moves:
        yield msgspec.json.encode(msgspec.structs.asdict(queue) | {"name": queue.name, "moves": tasks})


def letter_row(letter: DeadLetter) -> tuple[str, ...]:
    """One message as the cells of a row."""
    reason, delivery = meaning(letter)
    message = letter.message
    event, about = ", ".join(delivery.ignored), ""
    if delivery.events:
        first = delivery.events[0]
        more = f" and {len(delivery.events) - 1} more" if len(delivery.events) > 1 else ""
        event, about = first.event_name, f"{first.bucket}/{first.key}{more}"
    if delivery.rejection is not None:
        about = delivery.rejection.detail
    sent = time_text(datetime.fromtimestamp(message.sent_at, UTC))
    cells = (sent, str(message.receive_count), reason, message.message_id, event, about)
    return tuple(printable(cell) for cell in cells)


def letters_table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows after their headings, or a sentence."""
    if len(rows) > 1:
        yield from table(rows)
    else:
        yield "no message is visible in the dead-letter queue"


def letter_json(letter: DeadLetter) -> bytes:
    """One message as JSON, with its body."""
    reason, delivery = meaning(letter)
    message = letter.message
    return msgspec.json.encode(
        {
            "message_id": message.message_id,
            "sent_at": datetime.fromtimestamp(message.sent_at, UTC),
            "receive_count": message.receive_count,
            "source_arn": letter.source_arn,
            "reason": reason,
            "detail": delivery.rejection.detail if delivery.rejection else None,
            "objects": [
                {"bucket": event.bucket, "key": event.key, "event_name": event.event_name} for event in delivery.events
            ],
            "body": message.body,
        }
    )


def dry_run_text(queue: DeadLetterQueue, counts: Counter[str], reasons: Sequence[str]) -> Iterator[str]:
    """What a redrive would move, by what was looked at."""
    yield f"looked at {counts.total()} of about {queue.visible_messages} messages of {queue.name}; nothing was moved"
    for reason, count in counts.most_common():
        verdict = "would be moved" if not reasons or reason in reasons else "would stay"
        yield f"{count} {reason}: {verdict}"


def task_text(queue: DeadLetterQueue, task: MoveTask) -> str:
    """How a move by SQS ended."""
    return f"{task.moved_messages} messages of {queue.name} moved by SQS: {task.status.lower()}"


def tally_text(queue: DeadLetterQueue, tally: MoveTally) -> str:
    """How a move of our own ended."""
    parts = [f"{tally.moved} of {tally.seen} messages of {queue.name} moved"]
    parts += [f"{tally.not_chosen} have other reasons"] if tally.not_chosen else []
    parts += [f"{tally.of_other_queues} came from other queues"] if tally.of_other_queues else []
    parts += [f"{tally.refused} were not taken or not deleted"] if tally.refused else []
    return ", ".join(parts)


def _running(tasks: Sequence[MoveTask] | None) -> str:
    if tasks is None:
        return "unknown"
    running = [task for task in tasks if task.status == "RUNNING"]
    return ", ".join(f"{task.moved_messages} of {task.total_messages} moved" for task in running) or "none"
