"""What the line shall be, in figures, and what one run of the load test says of it.

Pure: reports in, outcomes out. A figure of one scenario is compared with a bound, or with a figure of another
scenario or contender of the same run, never with one of another day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from benchmarks.loadtest.competitors import (
    DAEMON,
    FLOOR,
    LAMBDA,
    LAMBDA_WARM,
    MANUAL_LOOP,
    MQ_BRIDGE,
    MQ_BRIDGE_BEST,
    PEERS,
)
from benchmarks.loadtest.result import Figures, Outcome, Report, Standing, Verdict
from subscriber.settings.table import Settings

Reports: TypeAlias = Mapping[str, Report]
"""Of one run, by scenario."""

Figure: TypeAlias = Callable[[Figures], float | None]

_MEGABYTES_PER_MIB = 1024**2 / 1e6
_LINGER_SECONDS: Final[float] = next(
    field.default for field in msgspec.structs.fields(Settings) if field.name == "batch_linger_seconds"
)
_LATENESS_SECONDS = 0.15
"""What a row may take beyond its batch's linger: a poll, a statement and its commit."""


class Measure(msgspec.Struct, frozen=True):
    """A figure of one drain, or the ratio of two."""

    scenario: str
    competitor: str
    figure: Figure
    divisor: Measure | None = None

    def over(self, divisor: Measure) -> Measure:
        """This one as a multiple of another one."""
        return msgspec.structs.replace(self, divisor=divisor)

    @property
    def scenarios(self) -> frozenset[str]:
        """What must have been run for it to be known."""
        return frozenset([self.scenario]) | (self.divisor.scenarios if self.divisor else frozenset())

    def taken(self, reports: Reports) -> float | None:
        """Its value; None where a run has no such figure, is none of the report's or has wrong rows."""
        value = _value(self, reports[self.scenario])
        if value is None or self.divisor is None:
            return value
        divisor = self.divisor.taken(reports)
        return value / divisor if divisor else None


class Target(msgspec.Struct, frozen=True):
    """A measure and where it shall lie."""

    name: str
    unit: str
    measure: Measure
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        if self.at_least is None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_most is None else f"{self.at_least:g} … {self.at_most:g}"


def outcomes(reports: Reports, targets: Iterable[Target] | None = None) -> tuple[Outcome, ...]:
    """What the reports of one run say of each target; of all there are, by default."""
    return tuple(_outcome(target, reports) for target in targets or TARGETS)


def with_earlier(now: Standing, before: Standing | None) -> Standing:
    """The standing with what an earlier run said of targets whose scenarios have not been run this time.

    Of a scenario that has failed nothing is kept, nor of a target that has moved.
    """
    if before is None:
        return now
    said = {(each.name, each.target): each for each in before.outcomes if each.verdict != "not run"}
    failed = {target.name for target in TARGETS if target.measure.scenarios & now.failures.keys()}

    def kept(outcome: Outcome) -> Outcome:
        earlier = said.get((outcome.name, outcome.target))
        if outcome.verdict != "not run" or outcome.name in failed or earlier is None:
            return outcome
        return msgspec.structs.replace(earlier, taken_at=earlier.taken_at or before.taken_at)

    return msgspec.structs.replace(now, outcomes=tuple(map(kept, now.outcomes)))


def _outcome(target: Target, reports: Reports) -> Outcome:
    is_run = target.measure.scenarios <= reports.keys()
    measured = target.measure.taken(reports) if is_run else None
    verdict = _verdict(target, measured) if is_run else "not run"
    return Outcome(target.name, target.unit, str(target), measured, verdict)


def _verdict(target: Target, measured: float | None) -> Verdict:
    if measured is None:
        return "void"
    is_low_enough = target.at_most is None or measured <= target.at_most
    is_high_enough = target.at_least is None or measured >= target.at_least
    return "met" if is_low_enough and is_high_enough else "short"


def _value(measure: Measure, found: Report) -> float | None:
    runs = (run for run in found.runs if run.name == measure.competitor and run.is_flawless)
    return next((measure.figure(run.figures) for run in runs), None)


def _cpu(part: str, scenario: str, competitor: str = DAEMON) -> Measure:
    return Measure(scenario, competitor, lambda found: found.cpu_microseconds_per_message.get(part))


def _pace(scenario: str, competitor: str = DAEMON) -> Measure:
    return Measure(scenario, competitor, lambda found: found.messages_per_second)


def _requests(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.requests_per_message)


def _memory(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.resident_mib_at_most * _MEGABYTES_PER_MIB)


def _p99(scenario: str) -> Measure:
    return Measure(scenario, DAEMON, lambda found: found.latency.p99 if found.latency else None)


def _held(name: str, scenario: str = "governor") -> Measure:
    """A figure of control. What was waited for and never came took for ever."""

    def figure(found: Figures) -> float | None:
        return math.inf if found.control.get(name, math.nan) is None else found.control.get(name)

    return Measure(scenario, scenario, figure)


_CONSUMER, _DATABASE = _cpu("consumer", PEERS), _cpu("database", PEERS)

TARGETS: Final = (
    Target("daemon CPU, flood", "µs a message", _cpu("consumer", "flood"), at_most=40),
    Target("daemon CPU to mq-bridge's", "×", _CONSUMER.over(_cpu("consumer", PEERS, MQ_BRIDGE)), at_most=1),
    Target("daemon CPU to mq-bridge's, best", "×", _CONSUMER.over(_cpu("consumer", PEERS, MQ_BRIDGE_BEST)), at_most=1),
    Target("messages a core to the loop's", "×", _cpu("consumer", PEERS, MANUAL_LOOP).over(_CONSUMER), at_least=5),
    Target("daemon CPU, mixed to flood", "×", _cpu("consumer", "mixed").over(_cpu("consumer", "flood")), at_most=1.5),
    Target("daemon CPU, hot to flood", "×", _cpu("consumer", "hot").over(_cpu("consumer", "flood")), at_most=1.5),
    Target("throughput to mq-bridge's", "×", _pace(PEERS).over(_pace(PEERS, MQ_BRIDGE)), at_least=1.5),
    Target("throughput to mq-bridge's, best", "×", _pace(PEERS).over(_pace(PEERS, MQ_BRIDGE_BEST)), at_least=1),
    Target("throughput, grown to flood", "×", _pace("grown").over(_pace("flood")), at_least=0.7),
    Target("database CPU to Lambda's", "×", _DATABASE.over(_cpu("database", PEERS, LAMBDA)), at_most=0.2),
    Target("database CPU to Lambda's, warm", "×", _DATABASE.over(_cpu("database", PEERS, LAMBDA_WARM)), at_most=0.5),
    Target("database CPU to the floor's", "×", _DATABASE.over(_cpu("database", PEERS, FLOOR)), at_most=1.5),
    Target("database CPU, grown to flood", "×", _cpu("database", "grown").over(_cpu("database", "flood")), at_most=1.5),
    Target("send to commit, p99, steady", "s", _p99("steady"), at_most=_LINGER_SECONDS + _LATENESS_SECONDS),
    Target("requests, steady", "a message", _requests("steady"), at_most=0.5),
    Target("requests, burst", "a message", _requests("burst"), at_most=0.25),
    Target("requests, flood", "a message", _requests("flood"), at_most=0.25),
    Target("memory, 500,000 waiting", "MB", _memory("flood"), at_most=120),
    Target("memory, 100,000 waiting", "MB", _memory("flood-100k"), at_most=120),
    Target("memory, 500,000 to 100,000", "×", _memory("flood").over(_memory("flood-100k")), at_most=1.1, at_least=0.9),
    Target("governor: settles in", "s", _held("settling_seconds"), at_most=15),
    Target("governor: near the ceiling", "of the time", _held("within_band_share"), at_least=0.95),
    Target("governor: overshoot", "points", _held("overshoot_points"), at_most=10),
    Target("governor: room for a neighbor in", "s", _held("neighbor_back_under_seconds"), at_most=10),
    Target("governor: share regained in", "s", _held("share_regained_seconds"), at_most=20),
    Target("governor: rate to a fixed limit's", "×", _held("rate_to_fixed"), at_least=0.9),
    Target("governor: everyday CPU to allowed", "×", _held("everyday_cpu_to_allowed"), at_most=1),
    Target("sensor of minutes: settles in", "s", _held("settling_seconds", "governor-delayed"), at_most=900),
    Target("sensor of minutes: overshoot", "points", _held("overshoot_points", "governor-delayed"), at_most=10),
    Target("sensor of minutes: peak to peak", "points", _held("peak_to_peak_points", "governor-delayed"), at_most=10),
)
