"""The figures of a run, derived from its samples, and the files that keep them.

A run leaves two files per scenario: a summary, which is committed and feeds the page, and the same report with every
sample, which stays in an ignored folder. Figures cover the whole drain: from the first message offered to the sample
that found the queue empty.
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

SCORECARD_NAME: Final = "targets.json"
SAMPLES_FOLDER: Final = ".samples"
"""Inside the folder of results; not committed: a quarter of an hour leaves megabytes of samples."""
_MIB = 1024**2


Status: TypeAlias = Literal["met", "missed", "void", "not run"]
"""`void`: rows were wrong, or there was nothing to measure, so the figure proves nothing."""


class Figures(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run cost and how fast it was; None where it cannot be known."""

    messages: int
    seconds: float
    messages_per_second: float
    cpu_microseconds_per_message: Counts
    """By part: consumer, queue, database, load."""
    database_cpu_share: float
    """Of one core, on average."""
    max_resident_mib: float
    """Of the consumer."""
    messages_per_receive: float | None = None
    requests_per_message: float | None = None
    """Calls that receive, delete or change visibility, as the consumer counted them, failed ones included."""
    rows_per_batch: float | None = None
    max_receive_age_seconds: float | None = None
    """The greatest age a message had when it was first received."""
    latency: Latency | None = None
    """From send to commit, where the load is paced."""
    control: dict[str, float | None] = {}
    """Figures of the control loop, in scenarios that test the governor; None: it never happened."""


class Mark(msgspec.Struct, frozen=True):
    """A moment of a run that its picture names."""

    at_seconds: float
    text: str


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One drain, by the daemon or by a competitor."""

    name: str
    check_result: CheckResult
    figures: Figures
    exit_code: int
    """Of the consumer, after SIGTERM."""
    samples: tuple[Sample, ...] = ()
    """Empty in a summary."""
    remark: str = ""
    settings: dict[str, str] = {}
    seed: int | None = None
    """Of a randomly generated load; None: the load has no randomness."""
    marks: tuple[Mark, ...] = ()

    @property
    def is_flawless(self) -> bool:
        """Every row is right, and the consumer exited with 0."""
        return self.check_result.is_flawless and self.exit_code == 0


class Report(msgspec.Struct, frozen=True):
    """One scenario. Only figures of the same report are strictly comparable: they share a machine and an hour."""

    scenario: str
    question: str
    measured_at: datetime
    machine: Machine
    runs: tuple[Run, ...]

    @property
    def is_flawless(self) -> bool:
        """No run has a fault."""
        return all(run.is_flawless for run in self.runs)


class TargetResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run of the load test says about one target."""

    name: str
    unit: str
    bound: str
    """As a person reads it."""
    measured: float | None
    status: Status
    measured_at: datetime | None = None
    """Set if an earlier run measured it; None: the run of the scorecard did."""


class Scorecard(msgspec.Struct, frozen=True):
    """One run of the load test against all targets, and the scenarios that failed."""

    measured_at: datetime
    targets: tuple[TargetResult, ...]
    failures: dict[str, str] = {}
    """The error that ended a scenario, by the scenario's name."""


def report(scenario: str, question: str, runs: Sequence[Run]) -> Report:
    """A report taken now, on this machine."""
    return Report(scenario, question, datetime.now(UTC), this_machine(), tuple(runs))


def write_report(found: Report, folder: Path) -> Path:
    """Writes the summary, and beside it in SAMPLES_FOLDER the report with its samples; replaces earlier ones.

    Returns:
        the summary's path.
    """
    (folder / SAMPLES_FOLDER).mkdir(parents=True, exist_ok=True)
    (folder / SAMPLES_FOLDER / f"{found.scenario}.json").write_bytes(msgspec.json.encode(found))
    path = _path(found.scenario, folder)
    path.write_bytes(_readable(summary(found)))
    return path


def summary(found: Report) -> Report:
    """The report without its samples."""
    runs = tuple(msgspec.structs.replace(run, samples=()) for run in found.runs)
    return msgspec.structs.replace(found, runs=runs)


def remove_report(scenario: str, folder: Path) -> None:
    """Removes an earlier summary, so that it cannot pass for one of a run in which the scenario failed."""
    _path(scenario, folder).unlink(missing_ok=True)


def read_report(path: Path) -> Report:
    """A report from its file, with samples or without.

    Raises:
        msgspec.DecodeError: the file holds no report, or one of another release.
    """
    return msgspec.json.decode(path.read_bytes(), type=Report)


def read_reports(folder: Path) -> list[Report]:
    """All summaries of a folder, the oldest first.

    Raises:
        msgspec.DecodeError: a file of the folder holds no report, or one of another release.
    """
    paths = (path for path in folder.glob("*.json") if path.name != SCORECARD_NAME)
    return sorted(map(read_report, paths), key=lambda each: each.measured_at)


def write_scorecard(scorecard: Scorecard, folder: Path) -> Path:
    """Writes the scorecard; replaces that of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SCORECARD_NAME
    path.write_bytes(_readable(scorecard))
    return path


def read_scorecard(folder: Path) -> Scorecard | None:
    """The scorecard of the last run, None if there is none yet.

    Raises:
        msgspec.DecodeError: the file is of another release.
    """
    path = folder / SCORECARD_NAME
    return msgspec.json.decode(path.read_bytes(), type=Scorecard) if path.exists() else None


def figures(samples: Sequence[Sample], latency: Latency | None = None) -> Figures:
    """The figures of a drain; its first sample is from before its first message."""
    first, last = samples[0], samples[-1]
    messages, seconds = last.offered, last.seconds - first.seconds
    used = {part: last.cpu_seconds[part] - first.cpu_seconds[part] for part in last.cpu_seconds}
    receives, batches = last.receive_requests - first.receive_requests, last.batches - first.batches
    settles = last.settle_requests - first.settle_requests
    per_receive = (last.received - first.received) / receives if receives else None
    has_age = any(sample.receive_age_seconds for sample in samples)
    return Figures(
        messages=messages,
        seconds=seconds,
        messages_per_second=messages / seconds,
        cpu_microseconds_per_message={part: each / messages * 1e6 for part, each in used.items()},
        database_cpu_share=used["database"] / seconds,
        max_resident_mib=max(sample.resident_bytes for sample in samples) / _MIB,
        messages_per_receive=per_receive,
        requests_per_message=(receives + settles) / messages if receives else None,
        rows_per_batch=(last.batched_rows - first.batched_rows) / batches if batches else None,
        max_receive_age_seconds=max(sample.receive_age_seconds for sample in samples) if has_age else None,
        latency=latency if latency and not math.isnan(latency.p50) else None,
    )


def _readable(found: Report | Scorecard) -> bytes:
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def _path(scenario: str, folder: Path) -> Path:
    return folder / f"{scenario}.json"
