"""The plan of a run, derived from its seed alone: load, daemons, and which faults occur when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

import msgspec

from benchmarks.chaos.catalog import FAULTS, Fault, Need
from benchmarks.chaos.variants import Variant

VERSION: Final = 4
"""Version of the mapping from seed to plan: results of another version come from other plans."""
_FAULT_COUNT_WEIGHTS = (55, 30, 15)
"""Weights of runs with one, two and three faults."""
_THREE_DAEMONS = 0.25
_CONCURRENCY = (1, 2, 4)
_BATCH_ROWS = (50, 200, 500)
_FIRST_SECONDS, _LAST_SECONDS = 0.2, 2.0
"""A fault starts between the two."""
_LOAD_SECONDS = 2.5
_SHORT_LOAD_SECONDS = 0.8


class Occurrence(msgspec.Struct, frozen=True):
    """A fault, its start in seconds since the start of the load, and its duration in seconds."""

    fault: str
    begins_at: float
    lasts: float


class Plan(msgspec.Struct, frozen=True):
    """The plan of one run."""

    seed: int
    messages: int
    load_seconds: float
    daemons: int
    concurrency: int
    batch_rows: int
    occurrences: tuple[Occurrence, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the faults, without repetition."""
        return tuple(dict.fromkeys(occurrence.fault for occurrence in self.occurrences))

    @property
    def needs(self) -> frozenset[Need]:
        """What the run must prepare for its faults."""
        return frozenset(need for name in self.faults if (need := FAULTS[name].need))

    @property
    def has_load_source(self) -> bool:
        """Whether a sensor reads the database's load: then the governor decides how fast messages are stored."""
        return bool(self.needs & {"active_sessions", "local"})

    @property
    def rejected_objects(self) -> frozenset[int]:
        """Numbers of the objects whose readable messages may end up in the quarantine."""
        return frozenset(number for name in self.faults for number in FAULTS[name].rejects)

    @property
    def concerned_objects(self) -> frozenset[int]:
        """Numbers of the objects whose rows are refused or locked: their messages are not healthy."""
        return self.rejected_objects | {number for name in self.faults for number in FAULTS[name].locks}

    @property
    def takes_messages(self) -> bool:
        """Whether a fault takes received messages away from a daemon."""
        return any(FAULTS[name].takes_messages for name in self.faults)

    @property
    def variant(self) -> Variant:
        """What the load consists of."""
        return next((FAULTS[name].variant for name in self.faults if FAULTS[name].variant != "aws"), "aws")

    def describe(self) -> str:
        """The plan as one line of text."""
        when = ", ".join(f"{each.fault} {each.begins_at:.1f}+{each.lasts:.1f} s" for each in self.occurrences)
        return (
            f"seed {self.seed}: {self.messages} messages, {self.daemons} × {self.concurrency} writers of "
            f"{self.batch_rows} rows; {when}"
        )


def plan_of(seed: int, messages: int) -> Plan:
    """The plan of a seed. Consecutive seeds cycle through all faults; further faults are added at random."""
    random = Random(f"chaos/{VERSION}/{seed}")
    names = list(FAULTS)
    chosen = [FAULTS[names[seed % len(names)]]]
    for _ in range(random.choices((0, 1, 2), _FAULT_COUNT_WEIGHTS)[0]):
        groups = {fault.group for fault in chosen}
        chosen.append(random.choice([fault for fault in FAULTS.values() if fault.group not in groups]))
    return Plan(
        seed=seed,
        messages=messages,
        load_seconds=_LOAD_SECONDS,
        occurrences=_occurrences(chosen, random, 1.0),
        daemons=3 if random.random() < _THREE_DAEMONS else 1,
        concurrency=random.choice(_CONCURRENCY),
        batch_rows=random.choice(_BATCH_ROWS),
    )


def short_plan(faults: Sequence[str], messages: int) -> Plan:
    """A plan with these faults, of different groups, and one daemon, in less time; the names are its seed."""
    random = Random(f"chaos/{VERSION}/{faults}")
    return Plan(
        seed=random.getrandbits(16),
        messages=messages,
        load_seconds=_SHORT_LOAD_SECONDS,
        occurrences=_occurrences([FAULTS[name] for name in faults], random, _SHORT_LOAD_SECONDS / _LOAD_SECONDS),
        daemons=1,
        concurrency=random.choice(_CONCURRENCY),
        batch_rows=random.choice(_BATCH_ROWS),
    )


def _occurrences(faults: Iterable[Fault], random: Random, pace: float) -> tuple[Occurrence, ...]:
    """When each fault begins and how long it lasts; `pace` is the length of the run, 1 for a whole one."""
    return tuple(
        Occurrence(
            fault.name,
            round(pace * random.uniform(_FIRST_SECONDS, _LAST_SECONDS), 2),
            round(pace * random.uniform(fault.min_seconds, fault.max_seconds), 2),
        )
        for fault in faults
    )
