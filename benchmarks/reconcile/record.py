"""The record of all rounds, what its medians say of the targets, and its table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from benchmarks.loadtest.host_info import Machine, this_machine
from benchmarks.reconcile import backfill, comparison, live_latency
from benchmarks.reconcile.asked import Asked
from benchmarks.reconcile.backfill import BackfillRound
from benchmarks.reconcile.comparison import ReconcileRound
from benchmarks.reconcile.drift import REACHED, DriftRound
from benchmarks.reconcile.live_latency import LatencyRound

FOLDER: Final = "reconcile"
FILE: Final = "reconcile.json"
TABLE_FILE: Final = "reconcile.md"
AnyRound: TypeAlias = BackfillRound | ReconcileRound | DriftRound | LatencyRound
Round = TypeVar("Round", BackfillRound, ReconcileRound, DriftRound, LatencyRound)


class Recorded(msgspec.Struct):
    """All rounds so far, each mode with its parameters, machine and time."""

    asked: dict[str, Asked] = {}
    machines: dict[str, Machine] = {}
    measured_at: dict[str, datetime] = {}
    backfill: list[BackfillRound] = []
    reconcile: list[ReconcileRound] = []
    drift: list[DriftRound] = []
    live_latency: list[LatencyRound] = []

    def begin(self, mode: str, asked: Asked, *, is_fresh: bool) -> None:
        """Go on with a mode's rounds, or drop them if others are asked for."""
        if is_fresh or self.asked.get(mode) != asked:
            setattr(self, mode, [])
        self.asked[mode] = asked

    def add(self, mode: str, measured: AnyRound, folder: Path) -> None:
        """Append a round and write the files."""
        getattr(self, mode).append(measured)
        self.machines[mode], self.measured_at[mode] = this_machine(), datetime.now(UTC)
        folder = folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
        (folder / TABLE_FILE).write_text(table(self))


def read_record(folder: Path) -> Recorded:
    """The record, or an empty one."""
    file = folder / FOLDER / FILE
    if not file.exists():
        return Recorded({}, {}, {}, [], [], [], [])
    return msgspec.json.decode(file.read_bytes(), type=Recorded)


class Target(msgspec.Struct, frozen=True):
    """One figure beside its target."""

    mode: str
    figure: str
    value: float
    text: str
    target: str = ""
    is_met: bool | None = None
    """None without a target."""

    @property
    def verdict(self) -> str:
        """Whether it is met, in a word."""
        return "" if self.is_met is None else "met" if self.is_met else "missed"


def targets(recorded: Recorded) -> list[Target]:
    """What is measured so far, beside its targets: medians of the rounds; of peaks and faults the worst round."""
    return [
        *_of_backfill(recorded.backfill),
        *_of_reconcile(recorded),
        *_of_drift(recorded.drift),
        *_of_latency(recorded.live_latency),
    ]


def table(recorded: Recorded) -> str:
    """The targets as a table in Markdown, and on what they were measured."""
    lines = ["| mode | figure | measured | target | |", "| --- | --- | ---: | ---: | --- |"]
    lines += [
        f"| {each.mode} | {each.figure} | {each.text} | {each.target} | {each.verdict} |" for each in targets(recorded)
    ]
    for mode, machine in recorded.machines.items():
        asked = recorded.asked[mode]
        lines.append(
            f"\n{mode}: {len(getattr(recorded, mode))} rounds of {asked.keys:,} keys, "
            f"{recorded.measured_at[mode]:%Y-%m-%d}, {machine.cores} cores ({machine.cpu}), commit {machine.commit}, "
            f"load average {machine.load_after:g}."
        )
    return "\n".join(lines) + "\n"


def _of_backfill(rounds: Sequence[BackfillRound]) -> Iterator[Target]:
    if not rounds:
        return
    rate = _median(rounds, lambda each: each.versions_per_second)
    ratio = _median(rounds, lambda each: each.cpu_ratio)
    yield _at_least("backfill", "versions a second", rate, backfill.VERSIONS_PER_SECOND, "{:,.0f}")
    yield _at_most("backfill", "CPU ÷ (COPY + listing)", ratio, backfill.CPU_RATIO, "{:.2f}")
    yield _peak("backfill", max(each.peak_bytes for each in rounds))
    parts: dict[str, Callable[[BackfillRound], float]] = {
        "of the command": lambda each: each.cpu_seconds,
        "of PostgreSQL": lambda each: each.database_cpu_seconds,
        "of COPY": lambda each: each.copy_cpu_seconds + each.copy_database_cpu_seconds,
        "of the listing": lambda each: each.list_cpu_seconds,
    }
    for name, part in parts.items():
        used = statistics.median(part(each) / each.versions * 1e6 for each in rounds)
        yield Target("backfill", f"CPU {name} for a version", used, f"{used:.1f} µs")


def _of_reconcile(recorded: Recorded) -> Iterator[Target]:
    if rounds := recorded.reconcile:
        seconds = _median(rounds, lambda each: each.seconds_per_ten_million)
        microseconds = _median(rounds, lambda each: each.database_microseconds)
        limit = comparison.SECONDS_PER_TEN_MILLION
        yield _at_most("reconcile", "seconds for ten million keys", seconds, limit, "{:,.0f}")
        limit = comparison.DATABASE_MICROSECONDS
        yield _at_most("reconcile", "µs of database CPU for a key", microseconds, limit, "{:.1f}")
        written = max(each.rows_written for each in rounds)
        yield _at_most("reconcile", "rows written", written, 0, "{:,.0f}")
        yield _at_most("reconcile", "false drift", max(each.drift for each in rounds), 0, "{:,.0f}")
        yield _peak("reconcile", max(each.peak_bytes for each in rounds))


def _of_drift(rounds: Sequence[DriftRound]) -> Iterator[Target]:
    if not rounds:
        return
    void = sum(each.is_void for each in rounds)
    yield _at_most("drift", "void rounds (the live load was not reached)", void, 0, "{:,.0f}")
    drifts = [each for each in rounds if not each.is_void]
    if not drifts:
        return
    planted = sum(each.planted for each in drifts)
    yield _at_least("drift", "planted versions found", sum(each.found for each in drifts), planted, "{:,.0f}")
    wrong = sum(each.unrepaired for each in drifts)
    yield _at_most("drift", "planted versions not repaired", wrong, 0, "{:,.0f}")
    yield _at_most("drift", "false drift, reported or repaired", sum(each.false for each in drifts), 0, "{:,.0f}")
    unequal = sum(each.unequal for each in drifts)
    yield _at_most("drift", "versions that differ at the end", unequal, 0, "{:,.0f}")
    for name, rates in (
        ("sent", [each.sent_per_second for each in drifts]),
        ("stored", [each.stored_per_second for each in drifts]),
    ):
        limit = REACHED * max(each.rate_asked for each in drifts)
        yield _at_least("drift", f"live events {name} a second", min(rates), limit, "{:,.0f}")
    yield _peak("drift", max(each.peak_bytes for each in drifts))


def _of_latency(measured: Sequence[LatencyRound]) -> Iterator[Target]:
    rounds = [each for each in measured if not each.is_void]
    if len(rounds) < len(measured):
        void = len(measured) - len(rounds)
        yield _at_most("live-latency", "void rounds (the backfill wrote nothing)", void, 0, "{:,.0f}")
    if not rounds:
        return
    ratio = _median(rounds, lambda each: each.p99_ratio)
    yield _at_most("live-latency", "p99 beside a backfill ÷ without", ratio, live_latency.P99_RATIO, "{:.2f}")
    for name, latencies in (("without", [each.without for each in rounds]), ("beside", [e.beside for e in rounds])):
        p99 = statistics.median(each.p99 for each in latencies)
        yield Target("live-latency", f"p99 {name}", p99, f"{p99 * 1000:,.0f} ms")
    written = statistics.median(each.backfill_versions / each.backfill_seconds for each in rounds)
    yield Target("live-latency", "versions a second of the backfill", written, f"{written:,.0f}")


def _median(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    return statistics.median(figure(each) for each in rounds)


def _peak(mode: str, peak_bytes: int) -> Target:
    return _at_most(mode, "peak memory in MB", peak_bytes / 1e6, comparison.PEAK_BYTES / 1e6, "{:,.0f}")


def _at_most(mode: str, figure: str, value: float, limit: float, form: str) -> Target:
    return Target(mode, figure, value, form.format(value), f"≤ {limit:,g}", is_met=value <= limit)


def _at_least(mode: str, figure: str, value: float, limit: float, form: str) -> Target:
    return Target(mode, figure, value, form.format(value), f"≥ {limit:,g}", is_met=value >= limit)
