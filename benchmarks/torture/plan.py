"""What a run will be, worked out from its seed alone: the load, the daemons, and which faults when."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from benchmarks.torture.menu import FAULTS, Need

VERSION: Final = 1
"""Of what a seed means: results of another version are of other runs."""
_TOGETHER = (55, 30, 15)
"""How often one, two and three faults make a run."""
_THREE_DAEMONS = 0.25
_CONCURRENCY = (1, 2, 4)
_BATCH_ROWS = (50, 200, 500)
_FIRST_SECONDS = 0.2
_LOAD_SECONDS = 2.5


class Occurrence(msgspec.Struct, frozen=True):
    """A fault and its time, in seconds since the load began."""

    fault: str
    begins_at: float
    lasts: float


class Plan(msgspec.Struct, frozen=True):
    """One run."""

    seed: int
    messages: int
    load_seconds: float
    daemons: int
    concurrency: int
    batch_rows: int
    occurrences: tuple[Occurrence, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(occurrence.fault for occurrence in self.occurrences))

    @property
    def needs(self) -> frozenset[Need]:
        """What the stage must have prepared."""
        return frozenset(need for name in self.faults if (need := FAULTS[name].need))

    def printed(self) -> str:
        """The plan as a line for a person."""
        when = ", ".join(f"{each.fault} {each.begins_at:.1f}+{each.lasts:.1f} s" for each in self.occurrences)
        return (
            f"seed {self.seed}: {self.messages} messages, {self.daemons} × {self.concurrency} writers of "
            f"{self.batch_rows} rows; {when}"
        )


def plan_of(seed: int, messages: int) -> Plan:
    """The run of this seed. Seeds in a row go through all faults; further ones join by chance."""
    random = Random(f"torture/{VERSION}/{seed}")
    names = list(FAULTS)
    chosen = [FAULTS[names[seed % len(names)]]]
    for _ in range(random.choices((0, 1, 2), _TOGETHER)[0]):
        groups = {fault.group for fault in chosen}
        chosen.append(random.choice([fault for fault in FAULTS.values() if fault.group not in groups]))
    occurrences = tuple(
        Occurrence(
            fault.name,
            round(random.uniform(_FIRST_SECONDS, _LOAD_SECONDS - 0.5), 2),
            round(random.uniform(fault.least_seconds, fault.most_seconds), 2),
        )
        for fault in chosen
    )
    return Plan(
        seed=seed,
        messages=messages,
        load_seconds=_LOAD_SECONDS,
        daemons=3 if random.random() < _THREE_DAEMONS else 1,
        concurrency=random.choice(_CONCURRENCY),
        batch_rows=random.choice(_BATCH_ROWS),
        occurrences=occurrences,
    )
