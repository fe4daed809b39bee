"""Backfill and reconciliation measured: `python -m benchmarks.reconcile backfill|reconcile|drift|live-latency`.

The real commands, on a bucket of the listing server, a real database and the SQS emulator, all on this machine. Each
round is recorded when it is done; a run that was interrupted goes on where it stopped, if it is asked for the same.
Exits with 1 if rows were written without drift, drift was missed, left or false, index and bucket differ at the end, or
a part failed. A figure beyond its target is shown and no error: it depends on the machine. A round of drift in which
the live load was not reached is void: it shows nothing, and does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.reconcile.asked import Asked
from benchmarks.reconcile.backfill import measure_backfill
from benchmarks.reconcile.comparison import measure_reconcile
from benchmarks.reconcile.drift import DriftBench
from benchmarks.reconcile.live_latency import measure_latency
from benchmarks.reconcile.parts import BUCKET, Parts, running_parts
from benchmarks.reconcile.record import AnyRound, Recorded, read_record, table
from benchmarks.reconcile.rows import KEYS_PER_DRIFT, fill
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import ProcessError
from testkit.s3.buckets import BucketSpec
from testkit.s3.generated import GeneratedPlan

RESULTS: Final = Path(__file__).parents[1] / "results"
MODES: Final = ("backfill", "reconcile", "drift", "live-latency")

KEYS: Final = 1_000_000
DRIFT_KEYS: Final = 300_000
"""Of mode drift: ten rounds then take less than ten minutes."""

Measure: TypeAlias = Callable[[int], AnyRound]
"""One round, by its number from 0."""


def asked_for(mode: str, plan: GeneratedPlan, options: argparse.Namespace) -> Asked:
    """What a mode's rounds are asked for."""
    if mode == "drift":
        return Asked(plan.keys, options.rate or 500.0, options.keys_per_drift, grace_seconds=options.grace)
    if mode == "live-latency":
        return Asked(plan.keys, options.rate or 200.0, seconds=options.seconds)
    return Asked(plan.keys)


def measuring(mode: str, parts: Parts, plan: GeneratedPlan, asked: Asked) -> Measure:
    """The function that does one round of a mode."""
    if mode == "backfill":
        return lambda _: measure_backfill(parts)
    if mode == "reconcile":
        return lambda _: measure_reconcile(parts, plan)
    if mode == "drift":
        return DriftBench(parts, plan, asked).measure
    return lambda number: measure_latency(parts, number, rate=asked.rate, seconds=asked.seconds)


def run_mode(mode: str, options: argparse.Namespace) -> None:
    """Do the rounds that are missing.

    Raises:
        ProcessError: a part failed.
        LocalPostgresError: PostgreSQL does not start.
    """
    plan = GeneratedPlan(options.keys or (DRIFT_KEYS if mode == "drift" else KEYS))
    recorded, name = read_record(options.results), mode.replace("-", "_")
    asked = asked_for(mode, plan, options)
    recorded.begin(name, asked, is_fresh=options.fresh)
    done = len(getattr(recorded, name))
    if done >= options.rounds:
        return
    with running_parts(BucketSpec(BUCKET, plan, is_changing=mode == "drift")) as parts:
        if mode in ("reconcile", "drift"):
            print(f"{mode}: filling the index with {plan.keys:,} keys …", file=sys.stderr, flush=True)
            rows = asyncio.run(fill(parts.database_url, plan))
            print(f"{mode}: {rows:,} rows", file=sys.stderr, flush=True)
        measure = measuring(mode, parts, plan, asked)
        for number in range(done, options.rounds):
            measured = measure(number)
            recorded.add(name, measured, options.results)
            print(f"{mode}, round {number + 1}: {measured}", file=sys.stderr, flush=True)


def is_right(recorded: Recorded) -> bool:
    """Whether nothing was written, missed, left or reported falsely."""
    return not (
        any(each.rows_written or each.drift for each in recorded.reconcile)
        or any(
            each.false or each.unrepaired or each.unequal or each.found != each.planted
            for each in recorded.drift
            if not each.is_void
        )
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile", description=__doc__)
    parser.add_argument("mode", choices=MODES, nargs="+")
    parser.add_argument(
        "--keys", type=int, help=f"of the bucket, with 1.6 versions each; {KEYS:,}, in drift {DRIFT_KEYS:,}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="those on record count, if they are of the same run")
    parser.add_argument("--rate", type=float, help="live events a second; 500 in drift, 200 in live-latency")
    parser.add_argument("--seconds", type=float, default=45.0, help="of each load in live-latency")
    parser.add_argument("--grace", type=int, default=20, help="--grace of the command in drift, in seconds")
    parser.add_argument("--keys-per-drift", type=int, default=KEYS_PER_DRIFT, help="one of so many keys differs")
    parser.add_argument("--fresh", action="store_true", help="forget the rounds on record")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = 0
    for mode in options.mode:
        try:
            run_mode(mode, options)
        except (ProcessError, LocalPostgresError) as error:
            print(f"{mode} failed: {error}", file=sys.stderr)
            code = 1
    recorded = read_record(options.results)
    print(table(recorded))
    return code if is_right(recorded) else 1


if __name__ == "__main__":
    sys.exit(main())
