"""A chunk that goes to an empty range as it is: rows and counts are those of the verdicts on its keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from subscriber.model import KeyRange, ListedVersion, ObjectEvent, RankedVersion
from subscriber.reconcile.chunks import Chunk
from subscriber.reconcile.compare import compare
from subscriber.reconcile.empty_range import EmptyRange
from subscriber.reconcile.findings import OpenPage, Totals
from subscriber.reconcile.pace import Unlimited
from testkit.reconcile.passes import added_event
from tests.reconcile.samples import CONTEXT, LONG_AGO, NOW, listed


class Added:
    """Keeps the rows of each statement."""

    def __init__(self) -> None:
        self.statements: list[list[RankedVersion]] = []

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = 0.0) -> int:
        """Not asked for."""
        raise NotImplementedError

    async def add_listed(self, bucket: str, versions: Sequence[RankedVersion], event_name: str) -> bool:
        """See ports.RowWriter."""
        assert (bucket, event_name) == (CONTEXT.bucket, CONTEXT.moment.event_name)
        self.statements.append([*versions])
        return True


async def _nothing() -> None:
    """Everything may be written."""


async def _is_empty(_: KeyRange) -> bool:
    raise AssertionError("nobody asks before a statement has failed")


async def filled(entries: list[ListedVersion], batch_rows: int = 1_000) -> tuple[bool, Added, OpenPage, Totals]:
    """What became of a chunk."""
    totals, store = Totals(), Added()
    page = OpenPage(totals)
    is_done = await EmptyRange(store, Unlimited(), _is_empty, _nothing, batch_rows, is_empty=True).fill(
        page, Chunk(KeyRange(), entries, 1), CONTEXT
    )
    return is_done, store, page, totals


STACKS = st.dictionaries(
    st.text("ab\t~", min_size=1, max_size=3),
    st.lists(
        st.builds(listed, st.text("xyz", max_size=2), marker=st.booleans(), size=st.integers(0, 9)),
        min_size=1,
        max_size=5,
        unique_by=lambda version: version.version_id,
    ),
    min_size=1,
    max_size=6,
)


def _entries(stacks: dict[str, list[ListedVersion]]) -> list[ListedVersion]:
    return [
        ListedVersion(key, *(getattr(version, name) for name in ListedVersion.__struct_fields__[1:]))
        for key in sorted(stacks)
        for version in stacks[key]
    ]


@given(STACKS, st.integers(1, 4))
async def test_rows_and_counts_are_those_of_the_verdicts(
    stacks: dict[str, list[ListedVersion]], batch_rows: int
) -> None:
    """In the same order, in statements of at most twice the rows of a batch."""
    entries = _entries(stacks)
    is_done, store, page, totals = await filled(entries, batch_rows)
    assert is_done
    assert all(0 < len(rows) <= 2 * batch_rows for rows in store.statements)
    found = [
        added_event(CONTEXT.bucket, version, sequencer, CONTEXT.moment.event_name)
        for rows in store.statements
        for version, sequencer in rows
    ]
    by_verdict, their_totals = OpenPage(Totals()), Totals()
    expected: list[ObjectEvent] = []
    for key, stack in groupby(entries, key=lambda entry: entry.key):
        verdict = compare([*stack], (), CONTEXT)
        assert verdict.kind == "missing"
        expected += verdict.rows
        by_verdict.report(key, verdict.differences)
        their_totals.add(verdict.differences)
    by_verdict.count(listed=len(entries), written=len(entries))
    assert found == expected
    assert page.total() == by_verdict.total()
    assert page.examples == by_verdict.examples
    assert totals.youngest == their_totals.youngest


async def test_what_it_does_not_know_is_left_to_the_general_rule() -> None:
    """A fresh version, a version that is listed twice, keys without order, and nothing."""
    old, other = listed("v1", at=LONG_AGO), listed("v2", at=LONG_AGO)
    later = ListedVersion("0", "", is_marker=False, is_latest=True, last_modified=LONG_AGO, size_bytes=1, etag="e")
    for entries in ([old, listed("v2", at=NOW)], [old, other, old], [old, later], []):
        is_done, store, page, _ = await filled(entries)
        assert not is_done
        assert not store.statements
        assert page.total() == OpenPage(Totals()).total()
