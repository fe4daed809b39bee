"""The fuzzer: `python -m benchmarks.fuzz --bodies 1000000 --seed 1`.

Every body goes through decode twice and through a second, independent reading; every event that comes out is written
into a PostgreSQL of the run's own, and so is every hundredth body that is refused. The first thing that is wrong ends
the run with the body that shows it. The same seed gives the same bodies; decode's caches, the order of dictionaries
and the database's answers apart, the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.fuzz.mutate import Mutator
from benchmarks.fuzz.oracle import Judge, Wrong
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
    """What a run came to."""

    bodies: int
    seed: int
    seconds: float
    faults: int
    outcomes: dict[str, int]
    """Bodies, by how decode and the reference agree; and the events in them."""
    reasons: dict[str, int]
    """Refused bodies by reason."""
    rows_written: int
    """Versions that went into PostgreSQL, after folding."""
    bodies_quarantined: int


class Shelf:
    """Gathers what was decoded and writes it into the database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._events: list[ObjectEvent] = []
        self._refused: list[tuple[Message, Rejection]] = []
        self.rows = 0
        self.quarantined = 0

    async def put(self, number: int, delivery: Delivery) -> None:
        """Take in body `number`; raises Wrong where the database does not."""
        self._events.extend(delivery.events)
        if delivery.rejection and number % _QUARANTINED_EVERY == 0:
            message = msgspec.structs.replace(delivery.message, message_id=str(number))
            self._refused.append((message, delivery.rejection))
        if len(self._events) >= _ROWS_PER_WRITE:
            await self.flush()

    async def flush(self) -> None:
        """Write what is gathered; raises Wrong where the database does not take it."""
        events, refused = fold(self._events), self._refused
        self._events, self._refused = [], []
        try:
            await self._store.store(events)
            await self._store.quarantine(refused)
        except StoreError as error:
            raise Wrong(f"PostgreSQL does not take what was decoded: {error}") from error
        self.rows += len(events)
        self.quarantined += len(refused)


async def fuzz(bodies: int, seed: int, store: PostgresStore) -> Outcome:
    """So many bodies through everything; prints as it goes, and ends with the first fault."""
    mutator, judge, shelf = Mutator(seed), Judge(), Shelf(store)
    started = time.monotonic()
    number, faults, text = 0, 0, ""
    try:
        for number in range(1, bodies + 1):
            text = mutator.body()
            await shelf.put(number, judge.judge(text))
            if number % _REPORT_EVERY == 0:
                print(f"  {number:>9} bodies, {time.monotonic() - started:6.0f} s", flush=True)
        await shelf.flush()
    except Wrong as wrong:
        faults = 1
        print(f"body {number} of seed {seed}: {wrong}\n{text!r}")
    return Outcome(
        bodies=number,
        seed=seed,
        seconds=round(time.monotonic() - started, 1),
        faults=faults,
        outcomes=dict(sorted(judge.outcomes.items())),
        reasons=dict(sorted(judge.reasons.items())),
        rows_written=shelf.rows,
        bodies_quarantined=shelf.quarantined,
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
    """Exits 0 if nothing was wrong, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument(
        "--result", type=Path, help=f"also write the outcome there, as JSON; the project's own is {RESULT}"
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
