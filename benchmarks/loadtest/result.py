"""The figures that follow from the samples of a drain, and the file they end up in.

Everything is over the whole drain, from the first message offered to the sample that found the queue empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.loadtest.host_info import Machine, this_machine
from benchmarks.loadtest.row_checker import CheckResult
from benchmarks.loadtest.samples import Counts, Sample
from testkit.checker.latency import Latency

STANDING_NAME: Final = "targets.json"
_MIB = 1024**2


Verdict: TypeAlias = Literal["met", "short", "void", "not run"]
"""`void`: it was measured on wrong rows, or there was nothing to measure, so the figure proves nothing."""


class Figures(msgspec.Struct, frozen=True):
    """What a run cost and how fast it was; None where it cannot be known."""

    messages: int
    seconds: float
    messages_per_second: float
    cpu_microseconds_per_message: Counts
    """By part: consumer, queue, database, load."""
    database_cpu_share: float
    """Of one core, on average."""
    resident_mib_at_most: float
    """Of the consumer."""
    messages_per_receive: float | None = None
    requests_per_message: float | None = None
    """Calls that receive, delete or hide, as the consumer counted them, failed ones too."""
    rows_per_batch: float | None = None
    lag_seconds_at_most: float | None = None
    latency: Latency | None = None
    """From send to commit, where the load is paced."""
    control: dict[str, float | None] = {}
    """How the governor held its ceiling, where that was the question; None: what was waited for never came."""


class Run(msgspec.Struct, frozen=True):
    """One drain, by the daemon or by a peer."""

    name: str
    check_result: CheckResult
    figures: Figures
    exit_code: int
    """Of the consumer, after SIGTERM."""
    samples: tuple[Sample, ...]
    remark: str = ""
    settings: dict[str, str] = {}

    @property
    def is_flawless(self) -> bool:
        """Every row is right, and the consumer ended as it should."""
        return self.check_result.is_flawless and self.exit_code == 0


class Report(msgspec.Struct, frozen=True):
    """A scenario's file: figures of one report may be compared with each other, those of two hardly."""

    scenario: str
    question: str
    taken_at: datetime
    machine: Machine
    runs: tuple[Run, ...]

    @property
    def is_flawless(self) -> bool:
        """No run has a fault."""
        return all(run.is_flawless for run in self.runs)


class Outcome(msgspec.Struct, frozen=True):
    """What one run says about one target."""

    name: str
    unit: str
    target: str
    """The bound, as a person reads it."""
    measured: float | None
    verdict: Verdict
    taken_at: datetime | None = None
    """When an earlier run said it; None: it is of the run that the standing tells of."""


class Standing(msgspec.Struct, frozen=True):
    """How one run of the load test stands: against the targets, and what of it could not be measured at all."""

    taken_at: datetime
    outcomes: tuple[Outcome, ...]
    failures: dict[str, str] = {}
    """What ended a scenario before its end, by the scenario's name."""


def report(scenario: str, question: str, runs: Sequence[Run]) -> Report:
    """A report of now and here."""
    return Report(scenario, question, datetime.now(UTC), this_machine(), tuple(runs))


def write_report(found: Report, folder: Path) -> Path:
    """Writes the report's file into the folder; an earlier one of the same scenario is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(found.scenario, folder)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return path


def remove_report(scenario: str, folder: Path) -> None:
    """Takes away an earlier report, so that nobody takes it for one of a run in which the scenario failed."""
    _path(scenario, folder).unlink(missing_ok=True)


def read_report(path: Path) -> Report:
    """A report from its file.

    Raises:
        msgspec.DecodeError: the file is none, or of another release.
    """
    return msgspec.json.decode(path.read_bytes(), type=Report)


def read_reports(folder: Path) -> list[Report]:
    """All reports of a folder, the oldest first.

    Raises:
        msgspec.DecodeError: a file of the folder is no report, or of another release.
    """
    paths = (path for path in folder.glob("*.json") if path.name != STANDING_NAME)
    return sorted(map(read_report, paths), key=lambda each: each.taken_at)


def write_standing(standing: Standing, folder: Path) -> Path:
    """Writes how the run stands; that of an earlier run is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STANDING_NAME
    path.write_bytes(msgspec.json.format(msgspec.json.encode(standing), indent=1) + b"\n")
    return path


def read_standing(folder: Path) -> Standing | None:
    """How the last run stood, None if no run has said so yet.

    Raises:
        msgspec.DecodeError: the file is of another release.
    """
    path = folder / STANDING_NAME
    return msgspec.json.decode(path.read_bytes(), type=Standing) if path.exists() else None


def figures(samples: Sequence[Sample], latency: Latency | None = None) -> Figures:
    """What the samples of a drain say; the first is from before its first message."""
    first, last = samples[0], samples[-1]
    messages, seconds = last.offered, last.seconds - first.seconds
    spent = {part: last.cpu_seconds[part] - first.cpu_seconds[part] for part in last.cpu_seconds}
    receives, batches = last.receive_requests - first.receive_requests, last.batches - first.batches
    settles = last.settle_requests - first.settle_requests
    per_receive = (last.received - first.received) / receives if receives else None
    has_lag = any(sample.lag_seconds for sample in samples)
    return Figures(
        messages=messages,
        seconds=seconds,
        messages_per_second=messages / seconds,
        cpu_microseconds_per_message={part: used / messages * 1e6 for part, used in spent.items()},
        database_cpu_share=spent["database"] / seconds,
        resident_mib_at_most=max(sample.resident_bytes for sample in samples) / _MIB,
        messages_per_receive=per_receive,
        requests_per_message=(receives + settles) / messages if receives else None,
        rows_per_batch=(last.batched_rows - first.batched_rows) / batches if batches else None,
        lag_seconds_at_most=max(sample.lag_seconds for sample in samples) if has_lag else None,
        latency=latency if latency and not math.isnan(latency.p50) else None,
    )


def _path(scenario: str, folder: Path) -> Path:
    return folder / f"{scenario}.json"
