"""The whole way of an inventory into an index in PostgreSQL: `python -m benchmarks.inventory_fill [--rows N]`.

An inventory of a few files of one format is written from a seed to the local disk. A process of its own fills an empty
index from it by a job, as `subscriber backfill --inventory` does, and then fills it once more, when every row is known.
The figures are rows per second of elapsed time, CPU of the process and of the server for a row, and the peak memory of
the process. Server and process share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import migrate
from subscriber.reconcile.inventory.fill_job import NewFill, absolute, create, work
from subscriber.reconcile.inventory.manifest import FileFormat
from testkit.postgres.postgres import LocalPostgres

_BUCKET = "lake"
_FILES = 4


class Fill(msgspec.Struct, frozen=True):
    """One process that filled the index once."""

    listed: int
    written: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


async def fill(url: str, manifest: Path) -> Fill:
    """Fill the index at a URL from an inventory, in this process."""
    options = StoreOptions(url=url, tls="disable")
    jobs = Jobs(options)
    began_at, cpu_began_at = time.monotonic(), time.process_time()
    try:
        job_id = await create(jobs, NewFill(_BUCKET, "", absolute(str(manifest))))
        job = await work(options, jobs, await jobs.get(job_id))
    finally:
        await jobs.close()
    if job.state != "succeeded":
        raise RuntimeError(f"the job is {job.state}")
    return Fill(
        job.counters.listed,
        job.counters.written,
        time.monotonic() - began_at,
        time.process_time() - cpu_began_at,
        _peak_bytes(),
    )


def filled(url: str, manifest: Path) -> Fill:
    """Fill the index in a process of its own, whose memory is only that of the fill."""
    command = [sys.executable, "-m", "benchmarks.inventory_fill", "--url", url, "--manifest", str(manifest)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Fill)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inventory_fill", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--format", dest="file_format", choices=get_args(FileFormat), default="CSV")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--manifest", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.url:
        print(msgspec.json.encode(asyncio.run(fill(options.url, options.manifest))).decode())
        return 0
    print(f"{options.rows} rows in {_FILES} files of {options.file_format}")
    print("| index | rows added | rows/s | process µs/row | server µs/row | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    _measure(options.rows, options.file_format)
    return 0


def _measure(rows: int, file_format: FileFormat) -> None:
    # Not at the top: the process that is measured must not hold pyarrow for CSV.
    from testkit.s3.inventory import Written, sample_versions, write_inventory  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory(prefix="subscriber-benchmark-") as folder, LocalPostgres() as server:
        how = Written(bucket=_BUCKET, file_format=file_format, rows_per_file=-(-rows // _FILES))
        manifest = write_inventory(Path(folder), sample_versions(1, rows), how)
        asyncio.run(migrate(StoreOptions(url=server.url, tls="disable")))
        for index in ("empty", "complete"):
            before = server.cpu_seconds()
            done = filled(server.url, manifest)
            server_seconds = server.cpu_seconds() - before
            print(
                f"| {index} | {done.written:,} | {done.listed / done.seconds:,.0f} "
                f"| {done.cpu_seconds / done.listed * 1e6:.1f} | {server_seconds / done.listed * 1e6:.1f} "
                f"| {done.peak_bytes / 2**20:.0f} MiB |",
                flush=True,
            )


def _peak_bytes() -> int:
    # Not ru_maxrss, which begins with what the parent had when it started this process (Linux, getrusage(2)).
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    sys.exit(main())
