"""The targets of the load test, and what one run says about each.

Pure: reports in, results out. A figure is compared with a bound, or with a figure of another scenario or competitor of
the same run, never with one of another day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from benchmarks.loadtest.competitors import (
    BULK_INSERT,
    COMPETITORS_SCENARIO,
    DAEMON,
    LAMBDA,
    LAMBDA_WARM,
    MANUAL_LOOP,
    MQ_BRIDGE,
    MQ_BRIDGE_TUNED,
)
from benchmarks.loadtest.result import Figures, Report, Scorecard, Status, TargetResult
from subscriber.settings.table import Settings

Reports: TypeAlias = Mapping[str, Report]
"""Of one run, by scenario."""

Figure: TypeAlias = Callable[[Figures], float | None]

_MEGABYTES_PER_MIB = 1024**2 / 1e6
_LINGER_SECONDS: Final[float] = next(
    field.default for field in msgspec.structs.fields(Settings) if field.name == "batch_linger_seconds"
)
_BEYOND_LINGER_SECONDS = 0.15
"""What a row may take beyond the time its batch accumulates: a poll, a statement and its commit."""


class Measure(msgspec.Struct, frozen=True):
    """A figure of one drain, or the ratio of two figures."""

    scenario: str
    competitor: str
    figure: Figure
    divisor: Measure | None = None

    def over(self, divisor: Measure) -> Measure:
        """This figure divided by another."""
        return msgspec.structs.replace(self, divisor=divisor)

    @property
    def scenarios(self) -> frozenset[str]:
        """The scenarios that must have been run."""
        return frozenset([self.scenario]) | (self.divisor.scenarios if self.divisor else frozenset())

    def taken(self, reports: Reports) -> float | None:
        """Its value; None where the run has no such figure, is not in the report or has wrong rows."""
        value = _value(self, reports[self.scenario])
        if value is None or self.divisor is None:
            return value
        divisor = self.divisor.taken(reports)
        return value / divisor if divisor else None


class Target(msgspec.Struct, frozen=True):
    """A measure and its bounds."""

    name: str
    meaning: str
    """What is measured, in a phrase; ratios divide the first thing named by the second."""
    unit: str
    measure: Measure
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        if self.at_least is None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_most is None else f"{self.at_least:g} … {self.at_most:g}"


def target_results(reports: Reports, targets: Iterable[Target] | None = None) -> tuple[TargetResult, ...]:
    """What the reports of one run say about each target; about all targets by default."""
    return tuple(_target_result(target, reports) for target in targets or TARGETS)


def with_earlier(now: Scorecard, before: Scorecard | None) -> Scorecard:
    """The scorecard, completed by earlier results for targets whose scenarios were not run this time.

    Nothing is kept for a scenario that has failed, nor for a target whose bound has changed.
    """
    if before is None:
        return now
    known = {(each.name, each.bound): each for each in before.targets if each.status != "not run"}
    failed = {target.name for target in TARGETS if target.measure.scenarios & now.failures.keys()}

    def kept(result: TargetResult) -> TargetResult:
        earlier = known.get((result.name, result.bound))
        if result.status != "not run" or result.name in failed or earlier is None:
            return result
        return msgspec.structs.replace(earlier, measured_at=earlier.measured_at or before.measured_at)

    return msgspec.structs.replace(now, targets=tuple(map(kept, now.targets)))


def _target_result(target: Target, reports: Reports) -> TargetResult:
    is_run = target.measure.scenarios <= reports.keys()
    measured = target.measure.taken(reports) if is_run else None
    status = _status(target, measured) if is_run else "not run"
    return TargetResult(target.name, target.unit, str(target), measured, status)


def _status(target: Target, measured: float | None) -> Status:
    if measured is None:
        return "void"
    is_low_enough = target.at_most is None or measured <= target.at_most
    is_high_enough = target.at_least is None or measured >= target.at_least
    return "met" if is_low_enough and is_high_enough else "missed"


def _value(measure: Measure, found: Report) -> float | None:
    runs = (run for run in found.runs if run.name == measure.competitor and run.is_flawless)
    return next((measure.figure(run.figures) for run in runs), None)


def _cpu(part: str, scenario: str, competitor: str = DAEMON) -> Measure:
    return Measure(scenario, competitor, lambda found: found.cpu_microseconds_per_message.get(part))


def _throughput(scenario: str, competitor: str = DAEMON) -> Measure:
    return Measure(scenario, competitor, lambda found: found.messages_per_second)


def _requests(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.requests_per_message)


def _memory(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.max_resident_mib * _MEGABYTES_PER_MIB)


def _p99(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.latency.p99 if found.latency else None)


def _control(name: str, scenario: str = "governor") -> Measure:
    """A figure of the control loop; infinite if the event it waits for never happened."""

    def figure(found: Figures) -> float | None:
        return math.inf if found.control.get(name, math.nan) is None else found.control.get(name)

    return Measure(scenario, scenario, figure)


def _consumer_cpu(competitor: str) -> Measure:
    return _cpu("consumer", COMPETITORS_SCENARIO, competitor)


def _database_cpu(competitor: str) -> Measure:
    return _cpu("database", COMPETITORS_SCENARIO, competitor)


_CPU, _DATABASE = _consumer_cpu(DAEMON), _database_cpu(DAEMON)

TARGETS: Final = (
    Target(
        "daemon CPU, flood",
        "CPU time of the daemon for each message of a waiting backlog",
        "µs per message",
        _cpu("consumer", "flood"),
        at_most=40,
    ),
    Target(
        "daemon CPU vs mq-bridge",
        "the daemon's CPU time per message ÷ mq-bridge's with its defaults",
        "×",
        _CPU.over(_consumer_cpu(MQ_BRIDGE)),
        at_most=1,
    ),
    Target(
        "daemon CPU vs tuned mq-bridge",
        "the daemon's CPU time per message ÷ mq-bridge's with its best settings here",
        "×",
        _CPU.over(_consumer_cpu(MQ_BRIDGE_TUNED)),
        at_most=1,
    ),
    Target(
        "messages per core vs manual loop",
        "messages the daemon stores in a second of CPU ÷ those of a tutorial's receive-store-delete loop",
        "×",
        _consumer_cpu(MANUAL_LOOP).over(_CPU),
        at_least=5,
    ),
    Target(
        "daemon CPU, mixed vs flood",
        "CPU time per message of deletes, versions and envelopes ÷ that of plain uploads",
        "×",
        _cpu("consumer", "mixed").over(_cpu("consumer", "flood")),
        at_most=1.5,
    ),
    Target(
        "daemon CPU, hot vs flood",
        "CPU time per message of a hundred often overwritten objects ÷ that of new objects",
        "×",
        _cpu("consumer", "hot").over(_cpu("consumer", "flood")),
        at_most=1.5,
    ),
    Target(
        "throughput vs mq-bridge",
        "the daemon's messages a second ÷ mq-bridge's with its defaults",
        "×",
        _throughput(COMPETITORS_SCENARIO).over(_throughput(COMPETITORS_SCENARIO, MQ_BRIDGE)),
        at_least=1.5,
    ),
    Target(
        "throughput vs tuned mq-bridge",
        "the daemon's messages a second ÷ mq-bridge's with its best settings here",
        "×",
        _throughput(COMPETITORS_SCENARIO).over(_throughput(COMPETITORS_SCENARIO, MQ_BRIDGE_TUNED)),
        at_least=1,
    ),
    Target(
        "throughput, grown vs flood",
        "messages a second into a table of ten million rows ÷ into an empty one",
        "×",
        _throughput("grown").over(_throughput("flood")),
        at_least=0.7,
    ),
    Target(
        "database CPU vs Lambda model",
        "CPU time of PostgreSQL per message ÷ the Lambda model's with a connection per invocation",
        "×",
        _DATABASE.over(_database_cpu(LAMBDA)),
        at_most=0.2,
    ),
    Target(
        "database CPU vs warm Lambda model",
        "CPU time of PostgreSQL per message ÷ the Lambda model's with kept connections",
        "×",
        _DATABASE.over(_database_cpu(LAMBDA_WARM)),
        at_most=0.5,
    ),
    Target(
        "database CPU vs bulk insert",
        "CPU time of PostgreSQL per row ÷ that of rows inserted in bulk, without a queue",
        "×",
        _DATABASE.over(_database_cpu(BULK_INSERT)),
        at_most=1.5,
    ),
    Target(
        "database CPU, grown vs flood",
        "CPU time of PostgreSQL per row, between ten million rows ÷ in an empty table",
        "×",
        _cpu("database", "grown").over(_cpu("database", "flood")),
        at_most=1.5,
    ),
    Target(
        "send to commit, p99, steady",
        "from sending a message to the commit of its row, at 200 messages a second",
        "s",
        _p99("steady"),
        at_most=_LINGER_SECONDS + _BEYOND_LINGER_SECONDS,
    ),
    Target(
        "SQS requests, steady",
        "receive, delete and visibility calls for each message at 200 messages a second",
        "per message",
        _requests("steady"),
        at_most=0.5,
    ),
    Target(
        "SQS requests, burst",
        "receive, delete and visibility calls for each message of a burst of 5,000 a second",
        "per message",
        _requests("burst"),
        at_most=0.25,
    ),
    Target(
        "SQS requests, flood",
        "receive, delete and visibility calls for each message of a waiting backlog",
        "per message",
        _requests("flood"),
        at_most=0.25,
    ),
    Target("memory, 500,000 queued", "largest resident memory of the daemon", "MB", _memory("flood"), at_most=120),
    Target("memory, 100,000 queued", "largest resident memory of the daemon", "MB", _memory("flood-100k"), at_most=120),
    Target(
        "memory, 500,000 vs 100,000 queued",
        "memory must not depend on the length of the backlog",
        "×",
        _memory("flood").over(_memory("flood-100k")),
        at_most=1.1,
        at_least=0.9,
    ),
    Target(
        "governor: settling time",
        "from the start of a flood until database CPU stays near its ceiling",
        "s",
        _control("settling_seconds"),
        at_most=15,
    ),
    Target(
        "governor: time near the ceiling",
        "share of the time in which database CPU is within 7 points of its ceiling",
        "of the time",
        _control("within_band_share"),
        at_least=0.95,
    ),
    Target(
        "governor: overshoot",
        "most that database CPU exceeds its ceiling",
        "points",
        _control("overshoot_points"),
        at_most=10,
    ),
    Target(
        "governor: yields to a noisy neighbor in",
        "until database CPU is back at its ceiling after other load takes half of the core",
        "s",
        _control("neighbor_back_under_seconds"),
        at_most=10,
    ),
    Target(
        "governor: rate regained in",
        "until rows are stored as fast as before, once the noisy neighbor has left",
        "s",
        _control("share_regained_seconds"),
        at_most=20,
    ),
    Target(
        "governor: rate vs fixed limit",
        "rows per point of CPU under the governor ÷ under a fixed limit, times what the ramp-up leaves",
        "×",
        _control("rate_to_fixed"),
        at_least=0.9,
    ),
    Target(
        "governor: everyday CPU vs allowed",
        "database CPU at 200 messages a second ÷ what bulk inserts of these rows allow",
        "×",
        _control("everyday_cpu_to_allowed"),
        at_most=1,
    ),
    Target(
        "one-minute sensor: settling time",
        "the same flood, steered by CloudWatch means that arrive a minute late",
        "s",
        _control("settling_seconds", "governor-delayed"),
        at_most=900,
    ),
    Target(
        "one-minute sensor: overshoot",
        "most that database CPU exceeds its ceiling, steered by CloudWatch",
        "points",
        _control("overshoot_points", "governor-delayed"),
        at_most=10,
    ),
    Target(
        "one-minute sensor: peak to peak",
        "spread of database CPU once settled, steered by CloudWatch",
        "points",
        _control("peak_to_peak_points", "governor-delayed"),
        at_most=10,
    ),
)
