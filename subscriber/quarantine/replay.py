"""Replay: messages of the quarantine are decoded anew and written, without passing through a queue again.

Nothing is sent to SQS, though that would be the shorter program. A body that could not be read may be what no queue
takes (SQS refuses characters that XML lacks); a second receive count, retention and dead-letter queue would begin; and
nobody could say when, or whether, a message had been written. Written here, it is either marked or it waits.

A message is marked after its rows are durable. Whoever is killed in between leaves messages that are written and not
marked; the next replay writes them again, which changes nothing, because the upsert keeps what is newer. So a replay
may be interrupted, repeated, and run beside another one and beside the daemon.

A message of which some records are still refused keeps waiting; its good ones are written all the same.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from subscriber.adapters.postgres.quarantine import Filters, Kept
from subscriber.errors import StoreError, Treatment
from subscriber.events.order import fold
from subscriber.flow.breaker import probe_backoff
from subscriber.model import Delivery, Lease, Message, ObjectEvent

T = TypeVar("T")

PAGE_MESSAGES = 200
ROWS_PER_WRITE = 1000
TRIES = 8
"""Of one write; with the pauses between them about half a minute, the length of an Aurora failover."""

_PASSING = frozenset({Treatment.RETRY, Treatment.BACK_OFF, Treatment.RECONNECT})


class Keeper(Protocol):
    """Where the messages are."""

    async def page(self, filters: Filters, behind: tuple[str, str], at_most: int) -> list[Kept]:
        """The messages behind a place."""
        ...

    async def mark(self, replayed: Sequence[Kept], by: str) -> int:
        """Say of messages that they were written; how many were not marked before."""
        ...


class Store(Protocol):
    """Where rows go."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Make rows durable; how many were newer than what was there."""
        ...


class ReplayOptions(msgspec.Struct, frozen=True):
    """How to replay."""

    by: str
    """Who does it, for the mark."""
    rate: float = 0.0
    """Messages a second at most; 0: as fast as the database takes them."""
    dry_run: bool = False
    """Decode, and neither write nor mark."""


class Tally:
    """What was done so far. Written by one replay, read by whoever shows it."""

    def __init__(self) -> None:
        self.seen = 0
        self.replayed = 0
        """Messages that are written and marked; in a rehearsal, that would be."""
        self.rows = 0
        """Rows that were newer than what the index held."""
        self.refused: Counter[str] = Counter()
        """Messages that keep waiting, by the reason they would be refused for today."""


class Replay:
    """One run over the messages that `filters` let through.

    Args:
        keeper: where messages are, and are marked.
        store: where rows go.
        decode: what a message means today.
        options: how.
        report: called after each page with the tally.
    """

    def __init__(
        self,
        keeper: Keeper,
        store: Store,
        decode: Callable[[Message], Delivery],
        options: ReplayOptions,
        report: Callable[[Tally], None],
    ) -> None:
        self._keeper, self._store, self._decode = keeper, store, decode
        self._options = options
        self._report = report
        self.tally = Tally()

    async def run(self, filters: Filters) -> Tally:
        """Go through all of them once, in order.

        Raises:
            StoreError: the database refuses, or stayed away too long; what was marked is done.
        """
        clock = asyncio.get_running_loop().time
        began, behind = clock(), ("", "")
        at_most = page_messages(self._options.rate)
        while page := await _with_retries(partial(self._keeper.page, filters, behind, at_most)):
            await self._replay_page(page)
            behind = page[-1].place
            self._report(self.tally)
            await asyncio.sleep(pause_for(self._options.rate, self.tally.seen, clock() - began))
        return self.tally

    async def _replay_page(self, page: Sequence[Kept]) -> None:
        deliveries = [(kept, self._decode(message_of(kept))) for kept in page]
        unstorable = {} if self._options.dry_run else await self._write([each for _, each in deliveries])
        done: list[Kept] = []
        for kept, delivery in deliveries:
            reason = delivery.rejection.reason if delivery.rejection else unstorable.get(delivery.message.message_id)
            if reason is None:
                done.append(kept)
            else:
                self.tally.refused[reason] += 1
        if not self._options.dry_run:
            await _with_retries(partial(self._keeper.mark, done, self._options.by))
        self.tally.seen += len(page)
        self.tally.replayed += len(done)

    async def _write(self, deliveries: Sequence[Delivery]) -> dict[str, str]:
        """Write the events of a page; the messages whose rows no table takes, with the reason."""
        try:
            await self._write_rows(fold(event for delivery in deliveries for event in delivery.events))
        except StoreError as error:
            if error.treatment not in {Treatment.BISECT, Treatment.MAYBE_ROW}:
                raise
            if len(deliveries) == 1:
                return {deliveries[0].message.message_id: error.word}
            middle = len(deliveries) // 2
            return await self._write(deliveries[:middle]) | await self._write(deliveries[middle:])
        return {}

    async def _write_rows(self, rows: Sequence[ObjectEvent]) -> None:
        for some in _in_parts(rows):
            self.tally.rows += await _with_retries(partial(self._store.store, some))


def message_of(kept: Kept) -> Message:
    """The message as the queue gave it, for decode; it has no receipt handle any more."""
    return Message(
        queue=kept.queue,
        message_id=f"{kept.queue} {kept.message_id}",  # ids are unique within a queue only
        receipt_handle="",
        body=_text(kept.body),
        sent_at=kept.quarantined_at.timestamp(),
        receive_count=kept.receive_count,
        lease=Lease(kept.queue, 0.0, set()),
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # the daemon never keeps such a body; a hand may have put it there
        return body.decode("utf-8", "backslashreplace")


def page_messages(rate: float) -> int:
    """How many messages a page has: at a low rate no more than those of a second, so that the pace is even."""
    return PAGE_MESSAGES if rate <= 0 else max(1, min(PAGE_MESSAGES, int(rate)))


def pause_for(rate: float, seen: int, elapsed_seconds: float) -> float:
    """Seconds to wait so that `seen` messages are no more than `rate` a second since the begin."""
    return 0.0 if rate <= 0 else max(0.0, seen / rate - elapsed_seconds)


def _in_parts(rows: Sequence[ObjectEvent]) -> Iterator[Sequence[ObjectEvent]]:
    for start in range(0, len(rows), ROWS_PER_WRITE):
        yield rows[start : start + ROWS_PER_WRITE]


async def _with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to `call`, asked again after what passes; every one of these calls may be made twice."""
    for attempt in range(TRIES - 1):
        try:
            return await call()
        except StoreError as error:
            if error.treatment not in _PASSING:
                raise
        await asyncio.sleep(probe_backoff(attempt, random.random()))  # noqa: S311 – jitter, not a secret
    return await call()
