"""The record of all runs: one line of JSON per run, appended when it ends, so that a long session can be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.plan import VERSION
from benchmarks.chaos.result import RunResult

_SYMPTOMS_SHOWN = 3
_HEAD = """# Chaos tests, fault by fault

Written by `make chaos` from `{record}`. A run is one seed: the real daemon under load, with one, two or three of the
faults below at random times; a run with several faults counts for each of them. Afterwards the whole history is
checked: every message, every delete, every commit and every row (`benchmarks/README.md`).

"Healthy wait" is the longest time from the receive of a healthy message to the commit of its rows, in all runs with
this fault: a message that can be read and of which the faults refuse or lock no row. The time in which a fault stops
every write is taken out. The bound is two write timeouts and a second. Runs with a sensor are not judged by it: there
the governor decides how fast messages are stored, and it sees the CPU of the whole machine.

"Symptoms" are the most frequent warnings and errors in the daemons' logs, and failures that were only counted, in runs
with this fault alone.

| fault | effect | runs | alone | events | healthy wait | symptoms | errors |
| --- | --- | ---: | ---: | ---: | ---: | --- | --- |
"""


def read_record(path: Path) -> list[RunResult]:
    """All recorded runs of this version; the last run of a seed counts."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(RunResult)
    results = [decoder.decode(line) for line in path.read_bytes().splitlines()]
    return list({result.plan.seed: result for result in results if result.version == VERSION}.values())


def append_result(path: Path, result: RunResult) -> None:
    """Appends one line to the record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def write_table(path: Path, record: Path, results: Sequence[RunResult]) -> None:
    """Writes the table of faults, runs, events and errors as Markdown."""
    rows = [_row(name, [result for result in results if name in result.plan.faults]) for name in FAULTS]
    flawed = [result for result in results if not result.is_flawless]
    messages, events = (sum(counts) for counts in ((r.plan.messages for r in results), (r.events for r in results)))
    total = (
        f"Total: {len(results)} runs with {messages:,} messages of {events:,} events; "
        f"{len(flawed)} of the runs had an error. {_longest_wait(results)}"
    )
    lines = [_HEAD.format(record=record.name) + "\n".join(rows), "", total]
    if flawed:
        lines += ["", "| seed | plan | error |", "| ---: | --- | --- |"]
        lines += [f"| {result.plan.seed} | {result.plan.describe()} | {_kinds(result)} |" for result in flawed]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _row(name: str, results: Sequence[RunResult]) -> str:
    alone = [result for result in results if len(result.plan.faults) == 1]
    symptoms: Counter[str] = Counter()
    for result in alone:
        symptoms.update(result.symptoms)
    most = ", ".join(symptom for symptom, _ in symptoms.most_common(_SYMPTOMS_SHOWN)) or "–"
    events = sum(result.events for result in results)
    flawed = [str(result.plan.seed) for result in results if not result.is_flawless]
    errors = f"seed {', '.join(flawed)}" if flawed else "none"
    counts = f"{len(results)} | {len(alone)} | {events:,} | {_healthy_wait(results)}"
    return f"| {name} | {FAULTS[name].description} | {counts} | {most} | {errors} |"


def _healthy_wait(results: Sequence[RunResult]) -> str:
    longest = max((result.healthy_wait_seconds for result in results), default=0.0)
    exceeded = sum(result.healthy_waits_exceeded for result in results)
    return f"{longest:.1f} s" + (f", exceeded {exceeded:,} times" if exceeded else "")


def _longest_wait(results: Sequence[RunResult]) -> str:
    results = [result for result in results if result.healthy_wait_bound_seconds]
    bounds = ", ".join(f"{bound:g} s" for bound in sorted({result.healthy_wait_bound_seconds for result in results}))
    exceeded = [result for result in results if result.healthy_waits_exceeded]
    seeds = f" (seed {', '.join(str(result.plan.seed) for result in exceeded)})" if exceeded else ""
    return (
        f"The longest healthy wait of the {len(results)} runs without a sensor was {_healthy_wait(results)}; "
        f"the bound of {bounds} was exceeded in {len(exceeded)} runs{seeds}."
    )


def _kinds(result: RunResult) -> str:
    return "; ".join(error.partition("\n")[0] for error in result.errors)
