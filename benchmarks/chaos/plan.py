"""What a run will be, worked out from its seed alone: the load, the daemons, and which faults when."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from benchmarks.chaos.catalog import FAULTS, Need

VERSION: Final = 3
"""Of what a seed means: results of another version are of other runs."""
_TOGETHER = (55, 30, 15)
"""How often one, two and three faults make a run."""
_THREE_DAEMONS = 0.25
_CONCURRENCY = (1, 2, 4)
_BATCH_ROWS = (50, 200, 500)
_FIRST_SECONDS, _LAST_SECONDS = 0.2, 2.0
"""Between these a fault begins."""
_LOAD_SECONDS = 2.5
_SHORT_LOAD_SECONDS = 0.8


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

    @property
    def refused_objects(self) -> frozenset[int]:
        """Objects, by number, whose messages may end in the quarantine though they can be read."""
        return frozenset(number for name in self.faults for number in FAULTS[name].refuses)

    def printed(self) -> str:
        """The plan as a line for a person."""
        when = ", ".join(f"{each.fault} {each.begins_at:.1f}+{each.lasts:.1f} s" for each in self.occurrences)
        return (
            f"seed {self.seed}: {self.messages} messages, {self.daemons} × {self.concurrency} writers of "
            f"{self.batch_rows} rows; {when}"
        )


def plan_of(seed: int, messages: int, *, is_short: bool = False) -> Plan:
    """The run of this seed. Seeds in a row go through all faults; further ones join by chance.

    A short one is the same in less time, with one daemon and the first of the faults alone.
    """
    random = Random(f"chaos/{VERSION}/{seed}")
    load_seconds = _SHORT_LOAD_SECONDS if is_short else _LOAD_SECONDS
    pace = load_seconds / _LOAD_SECONDS
    names = list(FAULTS)
    chosen = [FAULTS[names[seed % len(names)]]]
    for _ in range(0 if is_short else random.choices((0, 1, 2), _TOGETHER)[0]):
        groups = {fault.group for fault in chosen}
        chosen.append(random.choice([fault for fault in FAULTS.values() if fault.group not in groups]))
    occurrences = tuple(
        Occurrence(
            fault.name,
            round(pace * random.uniform(_FIRST_SECONDS, _LAST_SECONDS), 2),
            round(pace * random.uniform(fault.least_seconds, fault.most_seconds), 2),
        )
        for fault in chosen
    )
    return Plan(
        seed=seed,
        messages=messages,
        load_seconds=load_seconds,
        daemons=3 if not is_short and random.random() < _THREE_DAEMONS else 1,
        concurrency=random.choice(_CONCURRENCY),
        batch_rows=random.choice(_BATCH_ROWS),
        occurrences=occurrences,
    )
