"""The scenarios: the load that is offered, and the question it answers."""

from __future__ import annotations

from typing import Final

import msgspec

from testkit.latency_proxy import Delay
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import Phase


class Scenario(msgspec.Struct, frozen=True):
    """One load under one condition. It is either paced, or queued from the start."""

    name: str
    question: str
    profile: tuple[Phase, ...] = ()
    backlog: BacklogLoad | None = None
    settings: dict[str, str] = {}
    """Of the daemon, in addition to those that name queue and database."""
    prefilled_rows: int = 0
    """Rows in the table before the first message."""
    network_delay: Delay | None = None
    """Added by a proxy to each round trip to the database."""
    drain_timeout_seconds: float = 180.0
    """How long the queue may take to drain once everything is offered."""


UNGOVERNED: Final = {"SUBSCRIBER_DATABASE_LOAD_SOURCE": "none", "SUBSCRIBER_WRITE_MIN_CONCURRENCY": "8"}
"""For scenarios that ask what the pipeline can do, not what the governor allows: both bounds of the limit are equal."""

_GROWN_ROWS: Final = 10_000_000
_GROWN_MESSAGES: Final = 200_000

SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "steady",
            "What does the pipeline cost, and how late are rows, at 200 messages a second?",
            profile=(Phase(200, 60),),
            settings=UNGOVERNED,
        ),
        Scenario(
            "burst",
            "How late are rows when the rate rises 25-fold for six seconds, and how soon is it back to normal?",
            profile=(Phase(200, 10), Phase(5_000, 6), Phase(200, 20)),
            settings=UNGOVERNED,
        ),
        Scenario(
            "flood",
            "How fast does a backlog of half a million new objects drain, and what does each message cost?",
            backlog=BacklogLoad("flood", 500_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "flood-100k",
            "Does the daemon need the same memory for a fifth of the flood, whatever the length of the backlog?",
            backlog=BacklogLoad("flood", 100_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "hot",
            "Do writers wait for each other when a hundred objects are overwritten all the time?",
            backlog=BacklogLoad("hot", 200_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "mixed",
            "What do deletes, versions, duplicates, other envelopes and unreadable bodies cost?",
            backlog=BacklogLoad("mixed", 100_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "slow-database",
            "Does throughput hold when each round trip takes 1 to 5 ms longer, as across availability zones?",
            backlog=BacklogLoad("flood", 200_000),
            settings=UNGOVERNED,
            network_delay=Delay(1.0, 5.0),
        ),
        Scenario(
            "grown",
            "Does a table of ten million rows, between which the new ones fall at random, slow the pipeline?",
            backlog=BacklogLoad("flood", _GROWN_MESSAGES, spacing=2 * (_GROWN_ROWS // _GROWN_MESSAGES)),
            settings=UNGOVERNED,
            prefilled_rows=_GROWN_ROWS,
        ),
    )
}
