"""The record of all runs: one line of JSON each, appended as they end, so that hours of running can be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.plan import VERSION
from benchmarks.chaos.result import RunResult

_SIGNS_SHOWN = 3
_HEAD = """# The chaos, fault by fault

Written by `make chaos` from `{record}`. A run is one seed: the real daemon under load, with one, two or three of the
faults below at random moments; a run with several faults counts for each of them. Afterwards the whole history is
checked: every message, every delete, every commit and every row (`benchmarks/README.md`).

"Said" is what the daemons said most of, in runs with this fault alone: from their logs, and of failures that were
counted but not worth a line.

| fault | what it does | runs | of them alone | events | said | errors |
| --- | --- | ---: | ---: | ---: | --- | --- |
"""


def read_record(path: Path) -> list[RunResult]:
    """Every run of this version so far; of a seed that was run again the last time counts."""
    if not path.exists():
        return []
    decoder = msgspec.json.Decoder(RunResult)
    results = [decoder.decode(line) for line in path.read_bytes().splitlines()]
    return list({result.plan.seed: result for result in results if result.version == VERSION}.values())


def append_result(path: Path, result: RunResult) -> None:
    """One more line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def write_table(path: Path, record: Path, results: Sequence[RunResult]) -> None:
    """Fault × runs × events × result, for people."""
    rows = [_row(name, [result for result in results if name in result.plan.faults]) for name in FAULTS]
    flawed = [result for result in results if not result.is_flawless]
    messages, events = (sum(counts) for counts in ((r.plan.messages for r in results), (r.events for r in results)))
    total = (
        f"In all {len(results)} runs with {messages:,} messages of {events:,} events; "
        f"{len(flawed)} of them with an error."
    )
    lines = [_HEAD.format(record=record.name) + "\n".join(rows), "", total]
    if flawed:
        lines += ["", "| seed | plan | error |", "| ---: | --- | --- |"]
        lines += [f"| {result.plan.seed} | {result.plan.printed()} | {_kinds(result)} |" for result in flawed]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _row(name: str, results: Sequence[RunResult]) -> str:
    alone = [result for result in results if len(result.plan.faults) == 1]
    said: Counter[str] = Counter()
    for result in alone:
        said.update(result.signs)
    most = ", ".join(sign for sign, _ in said.most_common(_SIGNS_SHOWN)) or "–"
    events = sum(result.events for result in results)
    flawed = [str(result.plan.seed) for result in results if not result.is_flawless]
    verdict = f"seed {', '.join(flawed)}" if flawed else "none"
    return f"| {name} | {FAULTS[name].says} | {len(results)} | {len(alone)} | {events:,} | {most} | {verdict} |"


def _kinds(result: RunResult) -> str:
    return "; ".join(error.partition("\n")[0] for error in result.errors)
