"""The alarms that stand: which queue is stalled, why, and since when.

An alarm is a log line when it begins and one when it ends, a metric, and a line of the control page. It does not
make the daemon unready: what it tells of is outside, a restart would mend nothing, and every task of the fleet would
be restarted at once, giving back what it holds and costing each message a receive.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from subscriber.control.arrivals import Arrivals
from subscriber.control.backlog import Backlog
from subscriber.control.stall import ADVICE, QueueSigns, StallReason, stall_in
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics, queue_name

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
        metrics: the catalogue.
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
            reason = stall_in(signs, before.reason if before else None)
            if before and before.reason != reason:
                self._end(before, now)
            if reason and not (before and before.reason == reason):
                self._begin(Alarm(queue, reason, now), signs)

    def _signs(self, queue: str, arrivals: Arrivals, now: float) -> QueueSigns:
        counts = self._backlog.counts(queue, now)
        return QueueSigns(
            empty_answers=arrivals.empty_in_a_row,
            silent_seconds=arrivals.silent_seconds(now),
            visible=counts.visible if counts else None,
            in_flight=counts.in_flight if counts else None,
        )

    def _begin(self, alarm: Alarm, signs: QueueSigns) -> None:
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
