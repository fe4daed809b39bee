"""The noisy neighbor: pgbench with statements that use only CPU, at a rate that takes a known share of a core."""

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
from testkit.process import ProcessError, child_process

SESSIONS: Final = 2
_SCRIPT: Final = "SELECT sum(number * number % 7) FROM generate_series(1, 20000) AS number;\n"
_MEASUREMENT_SECONDS = 3
_MEASUREMENT_SHARE = 0.5
_TIMEOUT_SECONDS = 30
_LATENCY_LIMIT_MILLISECONDS = 1_000
"""pgbench skips transactions that start later than this, so the neighbor does not catch up on missed ones."""
_SECONDS_AT_MOST = 600
_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")


class NoisyNeighbor:
    """Made by `noisy_neighbor_of`."""

    def __init__(self, postgres: LocalPostgres, script: Path, statement_cpu_seconds: float) -> None:
        self._postgres = postgres
        self._script = script
        self.statement_cpu_seconds = statement_cpu_seconds

    @contextmanager
    def active(self, share: float) -> Iterator[None]:
        """Uses this share of a core while the block runs."""
        command = [*_command(self._postgres, self._script), "-T", str(_SECONDS_AT_MOST), *_paced(self.rate(share))]
        with child_process("noisy neighbor", command, is_third_party=True):
            yield

    def rate(self, share: float) -> float:
        """Statements per second that use this share of a core."""
        return share / self.statement_cpu_seconds


@contextmanager
def noisy_neighbor_of(postgres: LocalPostgres) -> Iterator[NoisyNeighbor]:
    """A noisy neighbor with a measured cost per statement, from a few seconds of running alone.

    It measures one session at full speed first, then the rate that seems to use half of a core: statements with pauses
    between them cost more, because caches and CPU have done other work in between.

    Raises:
        ProcessError: pgbench fails.
    """
    with tempfile.TemporaryDirectory(prefix="subscriber-neighbor-") as folder:
        script = Path(folder) / "statement.sql"
        script.write_text(_SCRIPT)
        rough = NoisyNeighbor(postgres, script, _measure_statement(postgres, script, ["-c", "1"]))
        yield NoisyNeighbor(
            postgres, script, _measure_statement(postgres, script, _paced(rough.rate(_MEASUREMENT_SHARE)))
        )


def _measure_statement(postgres: LocalPostgres, script: Path, options: list[str]) -> float:
    """CPU seconds per statement, measured over a few seconds."""
    before = postgres.cpu_seconds()
    command = [*_command(postgres, script), "-T", str(_MEASUREMENT_SECONDS), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    counted = _TRANSACTIONS.search(done.stdout)
    if done.returncode != 0 or counted is None or not int(counted[1]):
        raise ProcessError(f"pgbench failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return (postgres.cpu_seconds() - before) / int(counted[1])


def _paced(rate: float) -> list[str]:
    return ["-c", str(SESSIONS), "-R", f"{rate:.2f}", "-L", str(_LATENCY_LIMIT_MILLISECONDS)]


def _command(postgres: LocalPostgres, script: Path) -> list[str]:
    return [str(client_program("pgbench")), "--no-vacuum", "-f", str(script), postgres.url]
