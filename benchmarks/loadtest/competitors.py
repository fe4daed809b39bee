"""The competitors: what drains the same queue as the daemon, and with which settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from testkit.process import ProcessError

COMPETITORS_SCENARIO: Final = "competitors"
"""The name of the comparison among the scenarios."""
DAEMON: Final = "subscriber"
MQ_BRIDGE: Final = "mq-bridge"
MQ_BRIDGE_TUNED: Final = "mq-bridge, tuned"
MANUAL_LOOP: Final = "manual loop"
LAMBDA: Final = "Lambda model"
LAMBDA_WARM: Final = "Lambda model, warm"
BULK_INSERT: Final = "bulk insert"
"""The baseline: no queue and no daemon, only the rows."""

MQ_BRIDGE_PYTHON: Final = Path(__file__).parents[2] / ".lab" / "mq-bridge" / "bin" / "python"
MQ_BRIDGE_TUNED_CONCURRENCY: Final = 2
"""Found by trying 1, 2, 4, 8 and 16 in turn: five rounds of 60,000 messages each, on two shared virtual cores.

The medians were 9,200, 10,000, 8,600, 8,000 and 10,000 messages a second; single rounds differed from them by 10 to
25 %. On two cores, mostly used by emulator and database, no value differs from the default by more than the noise;
2 had the best mean. Machines with more cores may have another optimum.
"""
_LOOP = "benchmarks.baselines.manual_loop"
_MODEL = "benchmarks.baselines.lambda_model"
_BRIDGE = "benchmarks.baselines.mq_bridge"


class Competitor(msgspec.Struct, frozen=True):
    """A program that drains a queue."""

    name: str
    remark: str
    module: str = ""
    """Empty for the daemon itself."""
    arguments: tuple[str, ...] = ()
    interpreter: Path = Path(sys.executable)
    is_close: bool = False
    """Its cost is so near that of others that a single drain of some seconds cannot rank them."""
    takes_flat: bool = False
    """It cannot unwrap `Records`: each of its messages is one row as a flat JSON object, a third as long."""

    @property
    def queue_name(self) -> str:
        """A unique name for its queue."""
        return "-".join(["compare", *self.module.split(".")[2:], *self.arguments])

    def command(self, queue_url: str) -> list[str]:
        """The command line that starts it.

        Raises:
            ProcessError: its Python environment is missing.
        """
        if not self.interpreter.exists():
            raise ProcessError(
                f"{self.name} is not installed in {self.interpreter.parents[1]}: `make bench` installs it."
            )
        return [str(self.interpreter), "-m", self.module, "--queue-url", queue_url, *self.arguments]


def mq_bridge(name: str, remark: str, concurrency: int) -> Competitor:
    """mq-bridge writing so many batches concurrently."""
    remark = f"{remark}, concurrency {concurrency}; flat messages, no newer-row guard"
    return Competitor(
        name, remark, _BRIDGE, ("--concurrency", str(concurrency)), MQ_BRIDGE_PYTHON, is_close=True, takes_flat=True
    )


COMPETITORS: Final = (
    Competitor(DAEMON, "the daemon with its defaults", is_close=True),
    mq_bridge(MQ_BRIDGE, "1.2.0 with its defaults", 1),
    mq_bridge(MQ_BRIDGE_TUNED, "1.2.0 tuned for this machine", MQ_BRIDGE_TUNED_CONCURRENCY),
    Competitor(MANUAL_LOOP, "aiobotocore, ten workers: receive ten, store ten, delete ten", _LOOP),
    Competitor(LAMBDA, "a connection for each invocation of ten messages", _MODEL),
    Competitor(LAMBDA_WARM, "environments keep their connections", _MODEL, ("--warm",)),
)
