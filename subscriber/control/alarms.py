"""The alarms that stand: which queue is stalled, why, and since when.

An alarm is a log line when it begins and one when it ends, a metric, and a line of the control page. It does not
make the daemon unready: what it tells of is outside, a restart would mend nothing, and every task of the fleet would
be restarted at once, giving back what it holds and costing each message a receive.

The silent stall: a queue that gives nothing although it holds something. Pure.

Of a standard queue about 120,000 messages may be in flight. At that limit a short poll is refused with an error, a
long poll is not: its answers are merely empty (SQS developer guide, "Amazon SQS standard queue quotas"). So a fleet
that holds on to its messages sees an idle queue while the backlog grows, and nothing fails. The daemon makes long
polls only, hence this look at what the queue says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from subscriber.control.backlog import Backlog
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name
from subscriber.signals import Arrivals

StallReason: TypeAlias = Literal["in_flight_limit", "unseen_backlog"]

IN_FLIGHT_AT_MOST = 120_000
NEAR_THE_LIMIT_MESSAGES = IN_FLIGHT_AT_MOST * 9 // 10
"""The limit is an approximate one, and so is the count."""

EMPTY_ANSWERS_THAT_TELL = 2
"""One empty answer may be chance: a poll that begins at the very end of a burst."""

SILENCE_THAT_TELLS_SECONDS = 90.0
"""The counts of a queue need about a minute to become true after it was last fed (SQS API reference,
GetQueueAttributes), and are asked a few times a minute: a shorter silence may be the count's own lateness."""

BACKLOG_THAT_TELLS_MESSAGES = 10
"""What one poll could have brought; fewer may be an error of the count."""

ADVICE: dict[StallReason, str] = {
    "in_flight_limit": (
        "nearly as many messages are in flight as the queue allows, so polls come back empty without an error: "
        "somebody receives and does not delete; lower SUBSCRIBER_PREFETCH_MESSAGES or the number of tasks, "
        "or find the consumer that hangs"
    ),
    "unseen_backlog": (
        "the queue reports messages waiting and gives none: look for another consumer of it that holds them, at its "
        "key's permissions, and at the health of SQS in the region"
    ),
}
"""A sentence for the operator."""


class QueueHealth(msgspec.Struct, frozen=True):
    """What is known of one queue."""

    empty_answers: int
    """In a row, up to now."""
    silent_seconds: float
    """For how long."""
    visible: int | None
    """Messages waiting, as the queue last said; None: it has not, or long ago."""
    in_flight: int | None
    """Messages received and not deleted, by anybody; None likewise."""


def detect_stall(signs: QueueHealth, before: StallReason | None = None) -> StallReason | None:
    """Why the queue counts as stalled, or None.

    One message ends any stall. Without counts nothing new is claimed, and nothing taken back.

    Args:
        signs: what is known now.
        before: what was said last time.
    """
    if signs.empty_answers < EMPTY_ANSWERS_THAT_TELL:
        return None
    if signs.visible is None or signs.in_flight is None:
        return before
    if signs.in_flight >= NEAR_THE_LIMIT_MESSAGES:
        return "in_flight_limit"
    if signs.visible >= BACKLOG_THAT_TELLS_MESSAGES and signs.silent_seconds >= SILENCE_THAT_TELLS_SECONDS:
        return "unseen_backlog"
    return None


_log = get_logger()


class Alarm(msgspec.Struct, frozen=True):
    """One alarm that stands."""

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
    """Looks at every queue and remembers which alarms stand.

    Args:
        arrivals: what each queue has brought lately, by its URL.
        backlog: what each queue says of itself.
        metrics: the catalog.
    """

    def __init__(self, arrivals: Mapping[str, Arrivals], backlog: Backlog, metrics: Metrics) -> None:
        self._arrivals = arrivals
        self._backlog = backlog
        self._metrics = metrics
        self._standing: dict[str, Alarm] = {}
        for queue in arrivals:
            for reason in ADVICE:
                self._gauge(queue, reason, 0)

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """All that stand now."""
        return tuple(self._standing.values())

    def look(self, now: float, *, is_receiving: bool) -> None:
        """Look at every queue.

        Args:
            now: seconds of the event loop's clock.
            is_receiving: False while no poll is made, on purpose or for an outage: then nothing can be said.
        """
        for queue, arrivals in self._arrivals.items():
            if not is_receiving:
                arrivals.forget_silence()
            before = self._standing.get(queue)
            signs = self._signs(queue, arrivals, now)
            reason = detect_stall(signs, before.reason if before else None)
            if before and before.reason != reason:
                self._end(before, now)
            if reason and not (before and before.reason == reason):
                self._begin(Alarm(queue, reason, now), signs)

    def _signs(self, queue: str, arrivals: Arrivals, now: float) -> QueueHealth:
        counts = self._backlog.counts(queue, now)
        return QueueHealth(
            empty_answers=arrivals.empty_in_a_row,
            silent_seconds=arrivals.silent_seconds(now),
            visible=counts.visible if counts else None,
            in_flight=counts.in_flight if counts else None,
        )

    def _begin(self, alarm: Alarm, signs: QueueHealth) -> None:
        self._standing[alarm.queue] = alarm
        self._gauge(alarm.queue, alarm.reason, 1)
        _log.error(
            "queue.stalled",
            queue=queue_name(alarm.queue),
            reason=alarm.reason,
            advice=alarm.advice,
            **msgspec.structs.asdict(signs),
        )

    def _end(self, alarm: Alarm, now: float) -> None:
        del self._standing[alarm.queue]
        self._gauge(alarm.queue, alarm.reason, 0)
        lasted_seconds = round(now - alarm.began_at, 1)
        _log.info("queue.recovered", queue=queue_name(alarm.queue), reason=alarm.reason, lasted_seconds=lasted_seconds)

    def _gauge(self, queue: str, reason: StallReason, value: int) -> None:
        self._metrics.alarm.labels(queue_name(queue), reason).set(value)
