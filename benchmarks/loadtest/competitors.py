"""Who takes part in the contest, and with what settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from testkit.process import PartError

PEERS: Final = "peers"
"""The contest's name among the scenarios."""
DAEMON: Final = "subscriber"
MQ_BRIDGE: Final = "mq-bridge"
MQ_BRIDGE_BEST: Final = "mq-bridge, best"
MANUAL_LOOP: Final = "manual loop"
LAMBDA: Final = "Lambda, a model"
LAMBDA_WARM: Final = "Lambda, a model, warm"
FLOOR: Final = "floor"

MQ_BRIDGE_PYTHON: Final = Path(__file__).parents[2] / ".lab" / "mq-bridge" / "bin" / "python"
MQ_BRIDGE_BEST_CONCURRENCY: Final = 2
"""Found by hand: 1, 2, 4, 8 and 16 in turn, five rounds of 60,000 messages each, two cores that were not ours alone.

Medians 9,200, 10,000, 8,600, 8,000 and 10,000 messages a second, single rounds 10 to 25 % away from them. So on two
cores, most of which the queue server and the database take, none differs from its default by more than the noise; 2
had the best mean. More cores may have another best: try again there.
"""
_LOOP = "benchmarks.baselines.manual_loop"
_MODEL = "benchmarks.baselines.lambda_model"
_BRIDGE = "benchmarks.baselines.mq_bridge"


class Competitor(msgspec.Struct, frozen=True):
    """Somebody who drains a queue."""

    name: str
    remark: str
    module: str = ""
    """Empty for the daemon itself."""
    arguments: tuple[str, ...] = ()
    interpreter: Path = Path(sys.executable)
    is_close: bool = False
    """To others in cost: a single drain of some seconds would not tell who is ahead."""
    takes_flat: bool = False
    """It cannot unwrap `Records`: each of its messages is a row as a flat JSON object, a third as long."""

    @property
    def queue_name(self) -> str:
        """A name for its queue, like nobody else's."""
        return "-".join(["contest", *self.module.split(".")[2:], *self.arguments])

    def command(self, queue_url: str) -> list[str]:
        """What starts a peer.

        Raises:
            PartError: the environment it runs in is missing.
        """
        if not self.interpreter.exists():
            raise PartError(f"{self.name} is not installed in {self.interpreter.parents[1]}: `make bench` installs it.")
        return [str(self.interpreter), "-m", self.module, "--queue-url", queue_url, *self.arguments]


def mq_bridge(name: str, remark: str, concurrency: int) -> Competitor:
    """mq-bridge with so many batches at work at once."""
    remark = f"{remark}, concurrency {concurrency}; flat messages, no guard for the newer row"
    return Competitor(
        name, remark, _BRIDGE, ("--concurrency", str(concurrency)), MQ_BRIDGE_PYTHON, is_close=True, takes_flat=True
    )


COMPETITORS: Final = (
    Competitor(DAEMON, "the daemon with its defaults", is_close=True),
    mq_bridge(MQ_BRIDGE, "1.2.0 with its defaults", 1),
    mq_bridge(MQ_BRIDGE_BEST, "1.2.0 at its best here", MQ_BRIDGE_BEST_CONCURRENCY),
    Competitor(MANUAL_LOOP, "aiobotocore, ten workers: receive ten, store ten, delete ten", _LOOP),
    Competitor(LAMBDA, "a connection for each invocation of ten messages", _MODEL),
    Competitor(LAMBDA_WARM, "environments keep their connections: the fair one", _MODEL, ("--warm",)),
)
