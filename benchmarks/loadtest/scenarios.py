"""The scenarios: what is offered to the line, and which question that answers."""

from __future__ import annotations

from typing import Final

import msgspec

from testkit.latency_proxy import Delay
from testkit.workload.backlogs import BacklogLoad
from testkit.workload.load import Phase


class Scenario(msgspec.Struct, frozen=True):
    """One load under one condition. Either it is paced, or it waits from the start."""

    name: str
    question: str
    profile: tuple[Phase, ...] = ()
    backlog: BacklogLoad | None = None
    settings: dict[str, str] = {}
    """Of the daemon, beside what it needs to find queue and database."""
    resident_rows: int = 0
    """Rows in the table before the first message."""
    network_delay: Delay | None = None
    """What a proxy adds to each round trip to the database."""
    patience_seconds: float = 180.0
    """How long the line may take to run dry once everything is offered."""


UNGOVERNED: Final = {"SUBSCRIBER_DATABASE_LOAD_SOURCE": "none"}
"""The question is what the line can do, not what the governor allows."""

_GROWN_ROWS: Final = 10_000_000
_GROWN_MESSAGES: Final = 200_000

SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "steady",
            "What does the line cost, and how late is a row, at the rate that broke the original?",
            profile=(Phase(200, 60),),
        ),
        Scenario(
            "burst",
            "How late do rows get when the rate rises twenty-five-fold for some seconds, and how soon is it over?",
            profile=(Phase(200, 10), Phase(5_000, 6), Phase(200, 20)),
        ),
        Scenario(
            "flood",
            "How fast does a backlog of half a million new objects go, and what does each message cost?",
            backlog=BacklogLoad("flood", 500_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "flood-100k",
            "Does the daemon need as much memory for a fifth of the flood, so that none of it is the backlog's?",
            backlog=BacklogLoad("flood", 100_000),
            settings=UNGOVERNED,
        ),
        Scenario(
            "hot",
            "Do a hundred objects that are overwritten all the time make writers wait for each other?",
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
            "Does the line keep its pace when each round trip takes 1 to 5 ms longer, as across zones?",
            backlog=BacklogLoad("flood", 200_000),
            settings=UNGOVERNED,
            network_delay=Delay(1.0, 5.0),
        ),
        Scenario(
            "grown",
            "Does a table of ten million rows, into which new ones fall at random places, slow the line?",
            backlog=BacklogLoad("flood", _GROWN_MESSAGES, spacing=2 * (_GROWN_ROWS // _GROWN_MESSAGES)),
            settings=UNGOVERNED,
            resident_rows=_GROWN_ROWS,
        ),
    )
}
