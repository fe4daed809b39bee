"""What must hold at the end of an interleaving, whatever happened in it."""

from __future__ import annotations

from random import Random
from typing import Final, TypeAlias

from testkit.reconcile.interleaving import CLOCK_ERROR_SECONDS, Interleaving
from testkit.workload.bucket import SimulatedBucket, Versioning

Kind: TypeAlias = tuple[Versioning, bool]
"""The state of versioning at the start, and whether it may change."""

KINDS: Final[tuple[Kind, ...]] = (
    ("unversioned", False),
    ("unversioned", True),
    ("enabled", False),
    ("enabled", True),
    ("suspended", False),
)
_GRACE_AND_MORE_SECONDS = 300.0


def bucket_of(name: str, random: Random, kind: Kind) -> SimulatedBucket:
    """An empty bucket; the clocks of its servers are wrong."""
    return SimulatedBucket(name, random, versioning=kind[0], clock_error_seconds=CLOCK_ERROR_SECONDS)


async def broken_claims(run: Interleaving) -> list[str]:
    """Run it, and return what does not hold, as sentences.

    1. Where all events arrived, index and bucket are equal, whatever observations were written in between.
    2. After a reconcile that began when nothing was under way any more, they are equal in any case.
    3. Another reconcile finds nothing and writes nothing.
    4. At no time is a version brought back that the index knew to be removed for good.
    """
    await run.run()
    if not run.mix.lost and (faults := await run.faults()):
        return [f"all events arrived: {fault}" for fault in faults]
    await run.reconcile_at_rest()
    if faults := await run.faults():
        return [f"after a reconcile: {fault}" for fault in faults]
    run.bucket.pass_time(_GRACE_AND_MORE_SECONDS)
    again = await run.reconcile_at_rest()
    return [f"a second reconcile at rest: {kind} {number}" for kind, number in again.items() if kind != "agree"]
