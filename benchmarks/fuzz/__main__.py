"""The fuzzer: `python -m benchmarks.fuzz --bodies 1000000 --seed 1`.

Every body is decoded twice and compared with an independent reference implementation. Every decoded event, and every
hundredth rejected body, is written to a PostgreSQL of the run's own. The first mismatch ends the run and prints the
body. The same seed gives the same bodies, and the same run apart from decode's caches, the order of dictionaries and
the database's responses.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.fuzz.mutate import Mutator
from benchmarks.fuzz.oracle import DecodeOracle, MismatchError
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from subscriber.events.order import fold
from subscriber.model import Delivery, Message, ObjectEvent, Rejection
from testkit.postgres.postgres import LocalPostgres

RESULT = Path(__file__).parent.parent / "results" / "fuzz" / "fuzz.json"

_ROWS_PER_WRITE = 1_000
_QUARANTINED_EVERY = 100
_REPORT_EVERY = 100_000


class Outcome(msgspec.Struct, frozen=True):
    """The result of a run."""

    bodies: int
    seed: int
    seconds: float
    faults: int
    outcomes: dict[str, int]
    """Bodies by how decode and the reference agree, and the number of events in them."""
    reasons: dict[str, int]
    """Refused bodies by reason."""
    rows_written: int
    """Rows that were written to PostgreSQL, after folding."""
    bodies_quarantined: int


class EventWriter:
    """Collects decoded events and rejected bodies and writes them to the database in batches."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._events: list[ObjectEvent] = []
        self._rejected: list[tuple[Message, Rejection]] = []
        self.rows = 0
        self.quarantined = 0

    async def put(self, number: int, delivery: Delivery) -> None:
        """Add the delivery of body `number`.

        Raises:
            MismatchError: the database rejects a decoded event or a body.
        """
        self._events.extend(delivery.events)
        if delivery.rejection and number % _QUARANTINED_EVERY == 0:
            message = msgspec.structs.replace(delivery.message, message_id=str(number))
            self._rejected.append((message, delivery.rejection))
        if len(self._events) >= _ROWS_PER_WRITE:
            await self.flush()

    async def flush(self) -> None:
        """Write what has been collected.

        Raises:
            MismatchError: the database rejects a decoded event or a body.
        """
        events, rejected = fold(self._events), self._rejected
        self._events, self._rejected = [], []
        try:
            await self._store.store(events)
            await self._store.quarantine(rejected)
        except StoreError as error:
            raise MismatchError(f"PostgreSQL rejects a decoded event or a body: {error}") from error
        self.rows += len(events)
        self.quarantined += len(rejected)


async def fuzz(bodies: int, seed: int, store: PostgresStore) -> Outcome:
    """Check this number of bodies; prints progress and ends with the first fault."""
    mutator, oracle, writer = Mutator(seed), DecodeOracle(), EventWriter(store)
    started = time.monotonic()
    number, faults, text = 0, 0, ""
    try:
        for number in range(1, bodies + 1):
            text = mutator.body()
            await writer.put(number, oracle.check(text))
            if number % _REPORT_EVERY == 0:
                print(f"  {number:>9} bodies, {time.monotonic() - started:6.0f} s", flush=True)
        await writer.flush()
    except MismatchError as mismatch:
        faults = 1
        print(f"body {number} of seed {seed}: {mismatch}\n{text!r}")
    return Outcome(
        bodies=number,
        seed=seed,
        seconds=round(time.monotonic() - started, 1),
        faults=faults,
        outcomes=dict(sorted(oracle.outcomes.items())),
        reasons=dict(sorted(oracle.reasons.items())),
        rows_written=writer.rows,
        bodies_quarantined=writer.quarantined,
    )


async def _run(bodies: int, seed: int) -> Outcome:
    with LocalPostgres(durable=False) as server:
        options = StoreOptions(url=server.url, tls="disable")
        await migrate(options)
        store = PostgresStore(options)
        try:
            return await fuzz(bodies, seed, store)
        finally:
            await store.close()


def main() -> None:
    """Run the fuzzer; the exit code is 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000, help="number of bodies")
    parser.add_argument("--seed", type=int, default=1, help="seed of the bodies")
    parser.add_argument(
        "--result", type=Path, help=f"also write the outcome to this file, as JSON; the committed result is {RESULT}"
    )
    options = parser.parse_args()
    outcome = asyncio.run(_run(options.bodies, options.seed))
    shown = msgspec.json.format(msgspec.json.encode(outcome))
    print(shown.decode())
    if options.result:
        options.result.write_bytes(shown + b"\n")
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
