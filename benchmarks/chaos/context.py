"""Everything a fault may lay its hands on, for the length of one run."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec

from benchmarks.chaos.credentials import CredentialsServer
from benchmarks.chaos.database import ChaosDatabase
from benchmarks.chaos.observations import Observations
from benchmarks.chaos.proxy import Network
from benchmarks.chaos.queues import ChaosQueue
from benchmarks.chaos.supervisor import Supervised


class RunContext(msgspec.Struct, frozen=True):
    """One run's database, queue, network and daemons."""

    database: ChaosDatabase
    queue: ChaosQueue
    network: Network
    credentials: CredentialsServer
    daemons: list[Supervised]
    random: Random
    """Of the fault at work: seeded, and nobody else's."""
    folder: Path
    """For what a fault writes; gone with the run."""
    observations: Observations
    is_alone: bool
    """Whether no other fault is part of the run, and one daemon has the queue to itself."""

    def with_random(self, random: Random) -> RunContext:
        """The same for a fault with dice of its own."""
        return msgspec.structs.replace(self, random=random)

    def error(self, sentence: str) -> None:
        """Something that must not have happened."""
        self.observations.errors.append(sentence)

    def note(self, sentence: str) -> None:
        """Something that is worth knowing, once."""
        if sentence not in self.observations.notes:
            self.observations.notes.append(sentence)

    def some_daemon(self) -> Supervised:
        """One of them, by the seed."""
        return self.random.choice(self.daemons)
