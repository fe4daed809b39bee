"""The run context: everything that a fault may use during one run."""

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
    first_host: Network
    """The host that the daemon's URL names first; `network` itself unless the plan needs two."""
    credentials: CredentialsServer
    daemons: list[Supervised]
    random: Random
    """Seeded for one fault and used by no other."""
    folder: Path
    """For files that faults write; removed after the run."""
    observations: Observations
    is_alone: bool
    """Whether this run has a single fault and a single daemon."""

    def with_random(self, random: Random) -> RunContext:
        """A copy for a fault with its own source of random numbers."""
        return msgspec.structs.replace(self, random=random)

    def error(self, sentence: str) -> None:
        """Records something that must not happen; the run has failed."""
        self.observations.errors.append(sentence)

    def note(self, sentence: str) -> None:
        """Records something worth knowing, once per run."""
        if sentence not in self.observations.notes:
            self.observations.notes.append(sentence)

    def random_daemon(self) -> Supervised:
        """One of the daemons, chosen by the seed."""
        return self.random.choice(self.daemons)
