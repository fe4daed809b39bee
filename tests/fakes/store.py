"""An object index in memory that keeps the contract of the store and fails on request.

It passes the same contract tests as the real store (tests/contracts/test_store.py). Faults are scripted call by call:
the first call takes the first fault, and so on; after the last fault every call succeeds.

    store = FakeStore()
    hold = Hold()
    store.script(Fail(store_error(Treatment.RETRY)), None, hold)   # fail, succeed, hold
    ...
    await hold.reached.wait()
    hold.release()
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import msgspec

from subscriber.errors import StoreError, Treatment, failure_of
from subscriber.model import Message, ObjectEvent, Rejection

Call: TypeAlias = Literal["store", "locked_rows", "quarantine", "ping"]
Version: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Fail:
    """The call fails and has no effect."""

    error: BaseException


@dataclass(frozen=True)
class FailAfterDoing:
    """The call takes effect and then fails: its outcome is unknown to the caller."""

    error: BaseException


@dataclass(frozen=True)
class Hold:
    """The call waits, without effect, until it is released; `reached` is set when it begins to wait."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let the call go on and succeed."""
        self.released.set()


Fault: TypeAlias = Fail | FailAfterDoing | Hold | None
"""What happens to one call; None: it succeeds."""


@dataclass
class Quarantined:
    """A row of `quarantined_messages`."""

    body: str
    reason: str
    detail: str
    receive_count: int


class FakeStore:
    """Stores into dictionaries by the rules of the SQL statements."""

    def __init__(self) -> None:
        self.rows: dict[Version, ObjectEvent] = {}
        self.quarantined: dict[tuple[str, str], Quarantined] = {}
        self.locked: set[Version] = set()
        """Rows that another session keeps locked: they are found if they are stored, and statements wait for them."""
        self.write_timeout_seconds = 29.0
        """How long."""
        self.stored: list[tuple[ObjectEvent, ...]] = []
        """The rows of every call of `store`, in order, failed calls included."""
        self.rehearsed: list[tuple[ObjectEvent, ...]] = []
        """The row of every call of `rehearse`."""
        self.active = 0
        """Calls of `store` under way."""
        self.active_most = 0
        """The largest number of concurrent ones so far."""
        self._faults: dict[Call, deque[Fault]] = {call: deque() for call in get_args(Call)}

    def script(self, *faults: Fault, call: Call = "store") -> None:
        """Script the next calls, one fault per call."""
        self._faults[call].extend(faults)

    async def store(self, rows: Sequence[ObjectEvent], limit_seconds: float = math.inf) -> int:
        """Upsert newer rows and return their number; a call that is held fails after `limit_seconds`.

        Raises:
            StoreError: scripted, or BISECT for a row that cannot be stored; then no row is stored.
        """
        self.stored.append(tuple(rows))
        self.active += 1
        self.active_most = max(self.active, self.active_most)
        try:
            error_after = await self._next_fault("store", limit_seconds)
            if not self.locked.isdisjoint(map(version_of, rows)):
                await asyncio.sleep(min(limit_seconds, self.write_timeout_seconds))
                raise store_error(Treatment.BACK_OFF, "57014")
            applied = self._upsert(rows)
        finally:
            self.active -= 1
        if error_after is not None:
            raise error_after
        return applied

    async def locked_rows(self, rows: Sequence[ObjectEvent], limit_seconds: float) -> frozenset[Version]:
        """Those of `rows` that are stored and locked; a call that is held fails after `limit_seconds`.

        Raises:
            StoreError: scripted.
        """
        error_after = await self._next_fault("locked_rows", limit_seconds)
        if error_after is not None:
            raise error_after
        return frozenset(version for row in rows if (version := version_of(row)) in self.locked & self.rows.keys())

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Store the bodies; of a message that is already there only the receive count changes.

        Raises:
            StoreError: scripted.
        """
        error_after = await self._next_fault("quarantine")
        for message, rejection in entries:
            new = Quarantined(message.body, rejection.reason, rejection.detail, message.receive_count)
            kept = self.quarantined.setdefault((message.queue, message.message_id), new)
            kept.receive_count = max(kept.receive_count, message.receive_count)
        if error_after is not None:
            raise error_after

    async def rehearse(self, row: ObjectEvent) -> None:
        """Do what `store` does with one row, and undo it.

        Raises:
            StoreError: as `store` raises it.
        """
        kept, stored = dict(self.rows), len(self.stored)
        try:
            await self.store([row], 1.0)
        finally:
            self.rows.clear()
            self.rows.update(kept)
            self.rehearsed += self.stored[stored:]
            del self.stored[stored:]

    async def ping(self) -> None:
        """Succeed, unless scripted otherwise.

        Raises:
            StoreError: scripted.
        """
        error_after = await self._next_fault("ping")
        if error_after is not None:
            raise error_after

    async def _next_fault(self, call: Call, limit_seconds: float = math.inf) -> BaseException | None:
        """Apply the next fault; return the error to raise after the effect, if any."""
        await asyncio.sleep(0)  # a real store never answers within one step of the loop
        fault = self._faults[call].popleft() if self._faults[call] else None
        match fault:
            case Fail(error):
                raise error
            case FailAfterDoing(error):
                return error
            case Hold(reached, released):
                reached.set()
                try:
                    async with asyncio.timeout(None if limit_seconds == math.inf else limit_seconds):
                        await released.wait()
                except TimeoutError:
                    raise store_error(Treatment.BACK_OFF, "57014") from None
        return None

    def _upsert(self, rows: Sequence[ObjectEvent]) -> int:
        """All rows or none, as one statement does. Storage facts change nothing that is kept here."""
        rows = [row for row in rows if row.state != "unchanged"]
        for row in rows:
            sqlstate = _why_unstorable(row)
            if sqlstate is not None:
                raise store_error(Treatment.BISECT, sqlstate, is_own=sqlstate == "23514")
        newest = {version_of(row): msgspec.structs.replace(row, etag=row.etag or None) for row in rows}
        if len(newest) != len(rows):
            raise store_error(Treatment.RETRY, "21000")
        applied = {version: row for version, row in newest.items() if self._is_newer(version, row)}
        self.rows.update(applied)
        return len(applied)

    def _is_newer(self, version: Version, row: ObjectEvent) -> bool:
        kept = self.rows.get(version)
        return kept is None or order_of(kept) < order_of(row)


def version_of(row: ObjectEvent) -> Version:
    """The primary key of the index."""
    return (row.bucket, row.key, row.version_id)


def order_of(row: ObjectEvent) -> tuple[object, ...]:
    """The total order of the events of one version, written a second time as an independent oracle."""
    size = -1 if row.size_bytes is None else row.size_bytes
    not_present = row.state != "present"
    return (row.sequencer, row.event_time, not_present, row.state, row.etag or "", size, row.event_name)


def store_error(
    treatment: Treatment, sqlstate: str | None = None, word: str = "scripted", *, is_own: bool = False
) -> StoreError:
    """A failure to script; with an SQLSTATE it has the word of the table."""
    if sqlstate is not None:
        failure = failure_of(sqlstate)
        return StoreError(treatment, failure.word, sqlstate, "scripted", failure.advice, names_own_constraint=is_own)
    return StoreError(treatment, word, None, "scripted")


def _why_unstorable(row: ObjectEvent) -> str | None:
    """The SQLSTATE with which PostgreSQL or the driver rejects the row."""
    texts = (row.bucket, row.key, row.version_id, row.sequencer, row.event_name, row.etag or "")
    if any(_has_surrogate(text) for text in texts):
        return "22000"
    if row.size_bytes is not None and not -(2**63) <= row.size_bytes < 2**63:
        return "22000"
    if any("\0" in text for text in texts):
        return "22021"
    if _breaks_a_check(row):
        return "23514"
    return None


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _breaks_a_check(row: ObjectEvent) -> bool:
    """The CHECKs of the table, written a second time as an independent oracle."""
    fits = (
        1 <= len(row.bucket.encode()) <= 255
        and 1 <= len(row.key.encode()) <= 1024
        and len(row.version_id.encode()) <= 1024
        and len((row.etag or "").encode()) <= 255
        and row.state in ("present", "delete_marker", "removed")
        and re.fullmatch("([0-9A-F]{0,71}[1-9A-F])?", row.sequencer) is not None
        and (row.size_bytes or 0) >= 0
    )
    return not fits
