"""Rows a second and memory of reading inventories: `python -m benchmarks.inventory [--rows N] [--rounds N]`.

An inventory of one file of each format is written from a seed, with all versions and eleven columns. A process of its
own reads it through `open_source` and `read_file`, from the local disk, MD5 and the temporary copy of Parquet and ORC
included, and makes an event of each row or not. The figures are the rows per second of its user and system CPU time
(the best of the rounds, because other work can only add to it) and its peak memory. Exits with 1 below the budget.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from subscriber.model import ListedVersion
from subscriber.reconcile.inventory.facts import inventoried_event
from subscriber.reconcile.inventory.manifest import FileFormat
from subscriber.reconcile.inventory.source import local_reader, open_source, parse_location, read_file

BUDGET_ROWS_PER_SECOND = 100_000
"""Of one core, without making events."""
_BUCKET = "lake"


class Measured(msgspec.Struct, frozen=True):
    """One process that read one inventory."""

    rows: int
    cpu_seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        """Of CPU time."""
        return self.rows / self.cpu_seconds


async def read_rows(manifest: Path, *, makes_events: bool) -> int:
    """Read all rows of an inventory, a block at a time; how many there were."""
    location = parse_location(str(manifest))
    reader = local_reader(location)
    source = await open_source(reader, location, _BUCKET)
    rows = 0
    for file in source.files:
        async for batch in read_file(reader, source, file):
            rows += len(batch)
            _make_events(batch if makes_events else [], source.created_second)
    return rows


def _make_events(batch: list[ListedVersion], second: int | None) -> None:
    for row in batch:
        inventoried_event(_BUCKET, row, second)


def measured(manifest: Path, *, makes_events: bool = False) -> Measured:
    """Read an inventory in a process of its own."""
    arguments = ["--read", str(manifest), *(["--events"] if makes_events else [])]
    done = subprocess.run([sys.executable, "-m", "benchmarks.inventory", *arguments], capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Measured)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each format and print a table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inventory", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--events", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read:
        _read_here(options.read, makes_events=options.events)
        return 0
    print(f"{options.rows} rows, best of {options.rounds}; CPU of one core")
    print("| format | rows/s | rows/s with events | peak memory |\n| --- | ---: | ---: | ---: |")
    slowest = min(_measure_format(name, options.rows, options.rounds) for name in get_args(FileFormat))
    return int(slowest < BUDGET_ROWS_PER_SECOND)


def _measure_format(file_format: FileFormat, rows: int, rounds: int) -> float:
    # Not at the top: the process that is measured must not hold pyarrow for CSV.
    from testkit.s3.inventory import Written, sample_versions, write_inventory  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory(prefix="subscriber-benchmark-") as folder:
        how = Written(file_format=file_format, bucket=_BUCKET, rows_per_file=rows)
        manifest = write_inventory(Path(folder), sample_versions(1, rows), how)
        plain = [measured(manifest) for _ in range(rounds)]
        events = [measured(manifest, makes_events=True) for _ in range(rounds)]
    best = max(each.rows_per_second for each in plain)
    best_events = max(each.rows_per_second for each in events)
    peak = max(each.peak_bytes for each in plain + events)
    print(f"| {file_format} | {best:,.0f} | {best_events:,.0f} | {peak / 2**20:.0f} MiB |", flush=True)
    return best


def _read_here(manifest: Path, *, makes_events: bool) -> None:
    begun = time.process_time()
    rows = asyncio.run(read_rows(manifest, makes_events=makes_events))
    cpu_seconds = time.process_time() - begun
    # Not ru_maxrss, which begins with what the parent had when it started this process (Linux, getrusage(2)).
    status = Path("/proc/self/status").read_text()
    peak_bytes = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    print(json.dumps({"rows": rows, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    sys.exit(main())
