"""The active alarms: which queue is stalled, why, and since when.

An alarm is a log line when it begins and one when it ends, a metric, and a line of the control page. It does not make
the daemon unready: its cause is outside, a restart would fix nothing, and the orchestrator would restart every task of
the fleet at once; each would release its messages, which costs each message a receive.

The silent stall is a queue that delivers nothing although it holds messages. Of a standard queue about 120,000
messages may be in flight. At that limit SQS fails a short poll with an error but answers a long poll with an empty
response (SQS developer guide, "Amazon SQS standard queue quotas"). So a fleet that never deletes its messages sees an
idle queue while the backlog grows, and nothing fails. The daemon makes long polls only, hence this check of the
queue's own counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from subscriber.control.backlog import Backlog, QueueCounts
from subscriber.model import IN_FLIGHT_MESSAGES_AT_MOST
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.signals import Arrivals

_log = get_logger()

StallReason: TypeAlias = Literal["in_flight_limit", "unseen_backlog"]

NEAR_THE_LIMIT_MESSAGES = IN_FLIGHT_MESSAGES_AT_MOST * 9 // 10
"""The limit is an approximate one, and so is the count."""

STALL_EMPTY_ANSWERS = 2
"""One empty answer may be chance: a poll that begins at the very end of a burst."""

STALL_SILENT_SECONDS = 90.0
"""The counts of a queue become accurate about a minute after the last message was sent (SQS API reference,
GetQueueAttributes), and are read a few times a minute: during a shorter silence they may merely be late."""

STALL_BACKLOG_MESSAGES = 10
"""As many as one poll could have received; a smaller count may be an error."""

ADVICE: dict[StallReason, str] = {
    "in_flight_limit": (
        "nearly as many messages are in flight as the queue allows, so polls come back empty without an error: "
        "a consumer receives and does not delete; lower SUBSCRIBER_PREFETCH_MESSAGES or the number of tasks, "
        "or find the consumer that hangs"
    ),
    "unseen_backlog": (
        "the queue reports messages waiting and delivers none: check for another consumer that holds them, the "
        "permissions of its key, and the health of SQS in the region"
    ),
}
"""One sentence for the operator."""


class QueueHealth(msgspec.Struct, frozen=True):
    """The evidence about one queue."""

    empty_answers: int
    """In a row, up to now."""
    silent_seconds: float
    """Since the first of them."""
    visible: int | None
    """Messages waiting, by the newest count; None: there is none, or it is old."""
    in_flight: int | None
    """Messages received and not deleted, by any consumer; None likewise."""


def health_of(arrivals: Arrivals, counts: QueueCounts | None, now: float) -> QueueHealth:
    """The evidence about one queue at `now`, on the loop's clock."""
    return QueueHealth(
        empty_answers=arrivals.empty_in_a_row,
        silent_seconds=arrivals.silent_seconds(now),
        visible=counts.visible if counts else None,
        in_flight=counts.in_flight if counts else None,
    )


def detect_stall(health: QueueHealth, before: StallReason | None = None) -> StallReason | None:
    """Why the queue counts as stalled, or None.

    One message ends any stall. Without counts the previous result stands. Pure.

    Args:
        health: the evidence now.
        before: the previous result.
    """
    if health.empty_answers < STALL_EMPTY_ANSWERS:
        return None
    if health.visible is None or health.in_flight is None:
        return before
    if health.in_flight >= NEAR_THE_LIMIT_MESSAGES:
        return "in_flight_limit"
    if health.visible >= STALL_BACKLOG_MESSAGES and health.silent_seconds >= STALL_SILENT_SECONDS:
        return "unseen_backlog"
    return None


class Alarm(msgspec.Struct, frozen=True):
    """One active alarm."""

    queue: str
    """The queue's URL."""
    reason: StallReason
    began_at: float
    """Seconds of the event loop's clock."""

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE[self.reason]


class Alarms:
    """Checks every queue and keeps the active alarms.

    Args:
        arrivals: what the polls of each queue received lately, by its URL.
        backlog: the counts of each queue.
        metrics: the catalog.
    """

    def __init__(self, arrivals: Mapping[str, Arrivals], backlog: Backlog, metrics: Metrics) -> None:
        self._arrivals = arrivals
        self._backlog = backlog
        self._metrics = metrics
        self._active: dict[str, Alarm] = {}
        for queue in arrivals:
            for reason in ADVICE:
                self._gauge(queue, reason, 0)

    @property
    def active(self) -> tuple[Alarm, ...]:
        """All active alarms."""
        return tuple(self._active.values())

    def check(self, now: float, *, should_receive: bool) -> None:
        """Check every queue.

        Args:
            now: seconds of the event loop's clock.
            should_receive: False while nothing polls, during a pause or an outage: then there is no evidence.
        """
        for queue, arrivals in self._arrivals.items():
            if not should_receive:
                arrivals.reset_silence()
            before = self._active.get(queue)
            health = health_of(arrivals, self._backlog.counts(queue, now), now)
            reason = detect_stall(health, before.reason if before else None)
            if before and before.reason != reason:
                self._end(before, now)
            if reason and not (before and before.reason == reason):
                self._begin(Alarm(queue, reason, now), health)

    def _begin(self, alarm: Alarm, health: QueueHealth) -> None:
        self._active[alarm.queue] = alarm
        self._gauge(alarm.queue, alarm.reason, 1)
        _log.error(
            "queue.stalled",
            queue=self._metrics.queue_name(alarm.queue),
            reason=alarm.reason,
            advice=alarm.advice,
            **msgspec.structs.asdict(health),
        )

    def _end(self, alarm: Alarm, now: float) -> None:
        del self._active[alarm.queue]
        self._gauge(alarm.queue, alarm.reason, 0)
        lasted_seconds = round(now - alarm.began_at, 1)
        _log.info(
            "queue.recovered",
            queue=self._metrics.queue_name(alarm.queue),
            reason=alarm.reason,
            lasted_seconds=lasted_seconds,
        )

    def _gauge(self, queue: str, reason: StallReason, value: int) -> None:
        self._metrics.alarm.labels(self._metrics.queue_name(queue), reason).set(value)
