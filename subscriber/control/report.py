"""Publishes what the regulator does: one log line per decision, metrics, and the status for the control page.

A decision that changes the limit is logged at info with its evidence, any other at debug. The decision log keeps the
last of both.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

from subscriber.control.alarms import Alarms
from subscriber.control.backlog import Backlog
from subscriber.control.governor.state import Decision
from subscriber.control.load_monitor import LoadMonitor
from subscriber.control.observer import Observer
from subscriber.control.overrides import MODES, Command, DesiredState, Mode
from subscriber.control.reading import Reading
from subscriber.control.status import (
    AlarmStatus,
    ControlStatus,
    DecisionLog,
    DecisionNote,
    QueueStatus,
    SensorStatus,
    evidence_of,
)
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

_log = get_logger()


class Report:
    """Called by the regulator after each decision and command, and by the control page for the status.

    Args:
        observer: makes the readings.
        alarms: those that are active.
        metrics: the catalog.
    """

    def __init__(self, observer: Observer, alarms: Alarms, metrics: Metrics) -> None:
        self._observer = observer
        self._alarms = alarms
        self._metrics = metrics
        self._decision_log = DecisionLog()

    def mode_is(self, mode: Mode) -> None:
        """Publish the mode in force; prediction and ceiling are unknown until the next decision."""
        for one in MODES:
            self._metrics.control_mode.labels(one).set(one == mode)
        self._metrics.database_cpu_predicted_percent.set(math.nan)
        self._metrics.database_cpu_ceiling_percent.set(math.nan)

    def decided(self, decision: Decision, reading: Reading, *, was: float) -> None:
        """Publish the governor's decision on this reading, under the limit `was`."""
        evidence = evidence_of(decision, reading)
        self._decision_log.add(DecisionNote.of(evidence, was=was, at=datetime.now(UTC)))
        log, event = (_log.debug, "limit.kept") if decision.limit == was else (_log.info, "limit.changed")
        log(event, **{name: _rounded(value) for name, value in {"was": was, **evidence}.items()})
        self._metrics.decisions.labels(decision.reason).inc()
        self._metrics.database_cpu_predicted_percent.set(_or_nan(decision.predicted_percent))
        self._metrics.database_cpu_ceiling_percent.set(_or_nan(decision.ceiling_percent))

    def applied(self, command: Command, desired: DesiredState, *, limit: float, was: float) -> None:
        """Publish an operator's command that has been applied."""
        evidence: dict[str, object] = {"limit": limit, "reason": f"operator_{command.mode}"}
        self._decision_log.add(DecisionNote.of(evidence, was=was, at=datetime.now(UTC)))
        self.mode_is(desired.mode)
        _log.warning(
            "control.applied", command=command.mode, mode=desired.mode, limit=round(limit, 3), was=round(was, 3)
        )

    def status(
        self,
        desired: DesiredState,
        reading: Reading | None,
        *,
        limits: tuple[float, float, float],
        messages: tuple[int, int],
    ) -> ControlStatus:
        """The whole state.

        Args:
            desired: what the operator asked for.
            reading: the latest.
            limits: the lowest allowed, the one in force, and the highest allowed.
            messages: held, and reserved for open polls.
        """
        now = asyncio.get_running_loop().time()
        return ControlStatus(
            mode=desired.mode,
            limit=limits[1],
            limit_at_least=limits[0],
            limit_at_most=limits[2],
            fixed_limit=desired.fixed_limit,
            held_messages=messages[0],
            reserved_messages=messages[1],
            database_available=self._observer.is_database_available,
            reading=reading,
            sensor=_sensor_status(self._observer.load),
            queues=_queue_statuses(self._observer.backlog, self._metrics, now),
            alarms=_alarm_statuses(self._alarms, self._metrics, now),
            decisions=self._decision_log.newest_first(),
        )


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def _sensor_status(load: LoadMonitor) -> SensorStatus:
    return SensorStatus(
        source=load.source, period_seconds=load.period_seconds, is_stale=load.is_stale, problem=load.problem
    )


def _queue_statuses(backlog: Backlog, metrics: Metrics, now: float) -> tuple[QueueStatus, ...]:
    counted = [(metrics.queue_name(queue), backlog.counts(queue, now)) for queue in backlog.queues]
    return tuple(
        QueueStatus(
            name=name,
            visible_messages=counts.visible if counts else None,
            in_flight_messages=counts.in_flight if counts else None,
            age_seconds=round(now - counts.taken_at, 1) if counts else None,
        )
        for name, counts in counted
    )


def _alarm_statuses(alarms: Alarms, metrics: Metrics, now: float) -> tuple[AlarmStatus, ...]:
    return tuple(
        AlarmStatus(
            queue=metrics.queue_name(alarm.queue),
            reason=alarm.reason,
            advice=alarm.advice,
            lasts_seconds=round(now - alarm.began_at, 1),
        )
        for alarm in alarms.active
    )
