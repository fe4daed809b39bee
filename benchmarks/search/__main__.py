"""The search of the index measured: `python -m benchmarks.search prices|features|speed`.

`prices` writes the same rows into tables with and without each optional index, in turns, `features` does so with each
feature; `speed` asks the questions of
readers in one large table. Both write to results/search. The server is a real one on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.loadtest.host_info import Machine, this_machine
from benchmarks.search.prices import Price, measure_prices, prices_table
from benchmarks.search.speed import Speed, measure_speed, speed_table, stream
from subscriber.features import CATALOG as FEATURES
from subscriber.query.indexes import OF_VERSIONS

RESULTS: Final = Path(__file__).parents[1] / "results" / "search"


class Prices(msgspec.Struct, frozen=True):
    """What prices.json holds."""

    measured_at: datetime
    machine: Machine
    rows: int
    batch_rows: int
    rounds: list[list[Price]]


class SpeedRecord(msgspec.Struct, frozen=True):
    """What speed.json holds."""

    measured_at: datetime
    machine: Machine
    speed: Speed


def run_prices(options: argparse.Namespace) -> str:
    """Measure, write the record, and return the table."""
    rounds, names = [], [*(FEATURES if options.mode == "features" else OF_VERSIONS)]
    for number in range(options.rounds):
        rounds.append(measure_prices(options.rows, options.batch_rows, options.turns, names))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    table = prices_table(rounds)
    record = Prices(datetime.now(UTC), this_machine(), options.rows, options.batch_rows, rounds)
    _write(options.results, options.mode, record, table)
    return table


def run_speed(options: argparse.Namespace) -> str:
    """Measure, write the record, and return the tables."""
    speed = measure_speed(options.rows)
    table = speed_table(speed)
    _write(options.results, "speed", SpeedRecord(datetime.now(UTC), this_machine(), speed), table)
    return table


def _write(folder: Path, name: str, record: Prices | SpeedRecord, table: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    (folder / f"{name}.md").write_text(f"{table}\n")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("mode", choices=("prices", "features", "speed", "stream"))
    parser.add_argument("--rows", type=int, help="of each table; 1,000,000 for speed, else 200,000")
    parser.add_argument("--batch-rows", type=int, default=1000, help="of a statement of prices")
    parser.add_argument("--turns", type=int, default=20, help="of each variant in a round of prices")
    parser.add_argument("--rounds", type=int, default=3, help="of prices")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for the record")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--schema", default="subscriber", help=argparse.SUPPRESS)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.mode == "stream":
        print(msgspec.json.encode(asyncio.run(stream(options.url, options.schema, options.order))).decode())
        return 0
    options.rows = options.rows or (1_000_000 if options.mode == "speed" else 200_000)
    print(run_speed(options) if options.mode == "speed" else run_prices(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
