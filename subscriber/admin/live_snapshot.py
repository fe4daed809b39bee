"""What the live page shows of one moment: the figures, and what is wrong with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from subscriber.control.overrides import Mode
from subscriber.control.reasons import seconds_text, sentence_of
from subscriber.control.status import ControlStatus, DecisionNote

DECISIONS_SHOWN = 12
REASONS_SHOWN = 8
ERROR_SHOWN_SECONDS = 300.0
"""An older error of a queue is history: the log has it."""

Level: TypeAlias = Literal["bad", "warning", "note", "good"]
"""How urgent: nothing flows, somebody should look, good to know, all is well."""

_WAITS_FOR: Mapping[str, str] = {
    "started": "The pipeline is not running: the daemon is starting, or waits for its database or a queue.",
    "queues": "A queue does not answer.",
    "database": "The database does not answer.",
    "not_stopping": "The daemon is stopping.",
}
"""The conditions of /readyz that are false."""


class QueueFacts(msgspec.Struct, frozen=True):
    """What this process knows of one queue beyond its counts."""

    taken_messages: int = 0
    """Held here, and reserved for what open polls may return."""
    received_per_second: float = 0.0
    error: str = ""
    """Code of the newest failed poll; empty: none has failed."""
    error_age_seconds: float = 0.0
    is_failing: bool = False
    """Whether the newest poll to end failed."""


class Facts(msgspec.Struct, frozen=True):
    """Everything that a snapshot is made of."""

    at: datetime
    """UTC."""
    version: str
    conditions: Mapping[str, bool]
    """Of being ready, by name."""
    accepts_commands: bool
    """Whether a token is set."""
    lag_target_seconds: float
    status: ControlStatus | None = None
    """None: the pipeline is not running."""
    queues: Mapping[str, QueueFacts] = {}
    """By name."""
    budget_messages: int = 0
    batch_rows_limit: int = 0
    quarantine: Mapping[str, int] | None = None
    """Messages that wait, by reason; None: not counted."""
    reconcile_age_seconds: Mapping[str, float] = {}
    """By bucket, where it was ever compared."""


class Notice(msgspec.Struct, frozen=True):
    """One thing to know, and what to do about it."""

    level: Level
    text: str
    advice: str = ""


class QueueRow(msgspec.Struct, frozen=True):
    """One row of the table of queues."""

    name: str
    waiting_messages: int | None
    in_flight_messages: int | None
    counted_seconds_ago: float | None
    taken_messages: int
    received_per_second: float
    error: str


class DecisionRow(msgspec.Struct, frozen=True):
    """One decision, or several equal ones in a row."""

    at: datetime
    times: int
    was: float
    limit: float
    text: str


class LiveSnapshot(msgspec.Struct, frozen=True):
    """One event of the stream; `status` without its queues and decisions, which have rows of their own."""

    at: datetime
    version: str
    accepts_commands: bool
    notices: tuple[Notice, ...]
    """The most urgent first; never empty."""
    mode: Mode | None
    mode_since: datetime | None
    status: ControlStatus | None
    ceiling_percent: float | None
    queues: tuple[QueueRow, ...]
    budget_messages: int
    batch_rows_limit: int
    quarantine: tuple[tuple[str, int], ...] | None
    reconcile_age_seconds: tuple[tuple[str, float], ...]
    decisions: tuple[DecisionRow, ...]


def snapshot_of(facts: Facts) -> LiveSnapshot:
    """The snapshot of these facts."""
    status = facts.status
    decisions = status.decisions if status else ()
    waiting = sorted((facts.quarantine or {}).items(), key=lambda item: (-item[1], item[0]))
    return LiveSnapshot(
        at=facts.at,
        version=facts.version,
        accepts_commands=facts.accepts_commands,
        notices=notices_of(facts),
        mode=status.mode if status else None,
        mode_since=_mode_since(status),
        status=msgspec.structs.replace(status, decisions=(), queues=()) if status else None,
        ceiling_percent=next((note.ceiling_percent for note in decisions if note.ceiling_percent is not None), None),
        queues=tuple(_queue_rows(facts)),
        budget_messages=facts.budget_messages,
        batch_rows_limit=facts.batch_rows_limit,
        quarantine=None if facts.quarantine is None else tuple(waiting[:REASONS_SHOWN]),
        reconcile_age_seconds=tuple(sorted(facts.reconcile_age_seconds.items())),
        decisions=tuple(map(_decision_row, decisions[:DECISIONS_SHOWN])),
    )


def notices_of(facts: Facts) -> tuple[Notice, ...]:
    """What is wrong, the most urgent first; one line that all is well where nothing is."""
    status = facts.status
    if status is None:
        waits = [text for name, text in _WAITS_FOR.items() if not facts.conditions.get(name, False)]
        text = waits[-1] if not facts.conditions.get("not_stopping", True) else waits[0] if waits else "No figures yet."
        return (
            Notice("warning", text, "The log says what it waits for; the command subscriber check finds the cause."),
        )
    order: tuple[Level, ...] = ("bad", "warning", "note", "good")
    found = [*_control_notices(status), *_queue_notices(facts, status), *_database_notices(status)]
    found += _data_notices(facts, status)
    if all(notice.level == "note" for notice in found):
        found.append(Notice("good", f"All is well: rows are {seconds_text(_lag(status))} late."))
        return tuple(sorted(found, key=lambda notice: notice.level != "good"))
    return tuple(sorted(found, key=lambda notice: order.index(notice.level)))


def _lag(status: ControlStatus) -> float:
    return status.reading.lag_seconds if status.reading else 0.0


def _control_notices(status: ControlStatus) -> Iterator[Notice]:
    since = _mode_since(status)
    when = f" since {since:%H:%M:%S} UTC ({since:%d %B})" if since else ""
    if status.mode == "paused":
        text = f"PAUSED by an operator{when}: nothing is received and nothing is written."
        yield Notice("bad", text, "Messages wait in their queues and are not lost. Resume ends the pause.")
    elif status.mode == "fixed":
        text = f"An operator fixed the limit at {status.fixed_limit:g}{when}: the load of the database does not matter."
        yield Notice("warning", text, "Auto lets the governor decide again.")


def _queue_notices(facts: Facts, status: ControlStatus) -> Iterator[Notice]:
    for alarm in status.alarms:
        lasts = seconds_text(alarm.lasts_seconds)
        text = f"Queue {alarm.queue} delivers nothing although it holds messages, for {lasts}."
        yield Notice("bad", text, f"{alarm.advice[:1].upper()}{alarm.advice[1:]}.")
    for name, queue in facts.queues.items():
        if queue.is_failing:
            text = f"Queue {name} cannot be read: {queue.error}."
            yield Notice("bad", text, "Check its URL, the permissions of this role, and the network.")


def _database_notices(status: ControlStatus) -> Iterator[Notice]:
    if not status.database_available:
        advice = "Nothing more is received until it answers; messages wait in their queues and are not lost."
        yield Notice("bad", "The database does not answer.", advice)
    elif status.reading and status.reading.failures:
        yield Notice("warning", f"{status.reading.failures} statements failed in the last second.", "The log says why.")
    sensor = status.sensor
    if sensor.source != "none" and (sensor.is_stale or sensor.problem):
        advice = sensor.problem or "Its source has brought no new reading."
        text = "The load of the database is not known, so the limit is not raised."
        yield Notice("warning", text, f"{advice} (SUBSCRIBER_DATABASE_LOAD_SOURCE is {sensor.source})")


def _data_notices(facts: Facts, status: ControlStatus) -> Iterator[Notice]:
    if (lag := _lag(status)) > facts.lag_target_seconds:
        advice = "The decisions below say what keeps the limit where it is."
        text = f"Rows are {seconds_text(lag)} late; the target is {seconds_text(facts.lag_target_seconds)}."
        yield Notice("warning", text, advice)
    if waiting := sum((facts.quarantine or {}).values()):
        text = f"{waiting:,} {'message waits' if waiting == 1 else 'messages wait'} in the quarantine."
        yield Notice("note", text, "The command subscriber quarantine list shows them.")


def _mode_since(status: ControlStatus | None) -> datetime | None:
    """When the operator's mode began: during a pause or with a fixed limit only operators decide."""
    verb = {"paused": "operator_pause", "fixed": "operator_limit"}.get(status.mode) if status else None
    if status is None or verb is None:
        return None
    return next((note.began_at for note in status.decisions if note.reason == verb), None)


def _queue_rows(facts: Facts) -> Iterator[QueueRow]:
    for counts in facts.status.queues if facts.status else ():
        queue = facts.queues.get(counts.name, QueueFacts())
        is_recent = queue.error and (queue.is_failing or queue.error_age_seconds < ERROR_SHOWN_SECONDS)
        yield QueueRow(
            name=counts.name,
            waiting_messages=counts.visible_messages,
            in_flight_messages=counts.in_flight_messages,
            counted_seconds_ago=counts.age_seconds,
            taken_messages=queue.taken_messages,
            received_per_second=queue.received_per_second,
            error=f"{queue.error}, {seconds_text(queue.error_age_seconds)} ago" if is_recent else "",
        )


def _decision_row(note: DecisionNote) -> DecisionRow:
    return DecisionRow(note.ended_at, note.times, note.was, note.limit, sentence_of(note))
