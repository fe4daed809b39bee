"""The neighbor: pgbench with statements that need nothing but the processor, at a rate that takes a known share."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testkit.postgres.postgres import LocalPostgres
from testkit.postgres.postgres_binaries import client_program
from testkit.process import PartError, child_process

SESSIONS: Final = 2
_SCRIPT: Final = "SELECT sum(number * number % 7) FROM generate_series(1, 20000) AS number;\n"
_TRIAL_SECONDS = 3
_TRIAL_SHARE = 0.5
_TIMEOUT_SECONDS = 30
_LATENCY_LIMIT_MILLISECONDS = 1_000
"""What could not begin in time is left out: a neighbor does not come back for what it missed."""
_SECONDS_AT_MOST = 600
_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")


class NoisyNeighbor:
    """Made by `noisy_neighbor_of`."""

    def __init__(self, postgres: LocalPostgres, script: Path, statement_cpu_seconds: float) -> None:
        self._postgres = postgres
        self._script = script
        self.statement_cpu_seconds = statement_cpu_seconds

    @contextmanager
    def at_work(self, share: float) -> Iterator[None]:
        """Takes this share of a core while the block runs."""
        command = [*_command(self._postgres, self._script), "-T", str(_SECONDS_AT_MOST), *_paced(self.rate(share))]
        with child_process("the neighbor", command, is_third_party=True):
            yield

    def rate(self, share: float) -> float:
        """Statements a second that take this share of a core."""
        return share / self.statement_cpu_seconds


@contextmanager
def noisy_neighbor_of(postgres: LocalPostgres) -> Iterator[NoisyNeighbor]:
    """A neighbor who knows what a statement of his costs here: he tries it, alone, for some seconds.

    First as fast as one session goes, then at the rate that seems to be half of a core: with pauses between them
    statements cost more, for caches and processor have turned to something else meanwhile.

    Raises:
        PartError: pgbench fails.
    """
    with tempfile.TemporaryDirectory(prefix="subscriber-neighbor-") as folder:
        script = Path(folder) / "statement.sql"
        script.write_text(_SCRIPT)
        rough = NoisyNeighbor(postgres, script, _trial(postgres, script, ["-c", "1"]))
        yield NoisyNeighbor(postgres, script, _trial(postgres, script, _paced(rough.rate(_TRIAL_SHARE))))


def _trial(postgres: LocalPostgres, script: Path, options: list[str]) -> float:
    """Processor time of a statement, seconds, in some seconds of them."""
    before = postgres.cpu_seconds()
    command = [*_command(postgres, script), "-T", str(_TRIAL_SECONDS), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    counted = _TRANSACTIONS.search(done.stdout)
    if done.returncode != 0 or counted is None or not int(counted[1]):
        raise PartError(f"pgbench failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return (postgres.cpu_seconds() - before) / int(counted[1])


def _paced(rate: float) -> list[str]:
    return ["-c", str(SESSIONS), "-R", f"{rate:.2f}", "-L", str(_LATENCY_LIMIT_MILLISECONDS)]


def _command(postgres: LocalPostgres, script: Path) -> list[str]:
    return [str(client_program("pgbench")), "--no-vacuum", "-f", str(script), postgres.url]
