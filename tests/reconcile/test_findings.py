"""What of a verdict is certain at once, and what waits for a second look."""

from __future__ import annotations

from subscriber.model import ObjectEvent
from subscriber.reconcile.compare import Difference, Verdict
from subscriber.reconcile.findings import divided
from subscriber.reconcile.observation import Moment, observed_events, observed_removal
from tests.reconcile.samples import NOW, listed

MOMENT = Moment(NOW)
ADDED = observed_events("lake", [listed("v2"), listed("v1")], MOMENT)
REMOVED: tuple[ObjectEvent, ...] = (observed_removal("lake", ADDED[0].key, "v0", MOMENT),)
MISSING = Difference("missing", "v2", 1, NOW)
STALE = Difference("stale", "v1", 1, NOW)
GHOST = Difference("ghost", "v0", 1, NOW)


def test_a_missing_version_and_what_is_stale_beside_it_are_certain() -> None:
    """The whole stack is written at once, and nothing waits."""
    verdict = Verdict("missing", ADDED, (MISSING, STALE))
    assert divided(verdict) == (ADDED, (MISSING, STALE), None)


def test_what_is_only_stale_or_a_ghost_waits() -> None:
    """Nothing is written before the second look."""
    for verdict in (Verdict("stale", ADDED, (STALE,)), Verdict("ghost", REMOVED, (GHOST,))):
        assert divided(verdict) == ((), (), verdict)


def test_a_ghost_beside_a_missing_version_waits_alone() -> None:
    """Its tombstone is not written with the stack."""
    verdict = Verdict("missing", REMOVED + ADDED, (MISSING, GHOST, STALE))
    assert divided(verdict) == (ADDED, (MISSING, STALE), Verdict("ghost", REMOVED, (GHOST,)))
