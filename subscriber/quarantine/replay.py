"""Replay: decodes quarantined messages again and writes their rows, without sending them to a queue.

Sending them to SQS would be a shorter program, but SQS rejects some bodies (characters that XML lacks); a new receive
count, retention and dead-letter queue would apply; and it would stay unknown when, or whether, a message was written.
Here a message is either marked as replayed or still waiting.

A message is marked after its rows are durable. A replay that is killed in between leaves messages that are written but
not marked; the next replay writes them again, which changes nothing, because the upsert keeps the newer row. So a
replay may be interrupted, repeated, and run in parallel with another replay and with the daemon.

A message with some records that are still rejected keeps waiting; its other records are written. Which message is the
cause of a failure is found by the same plan as in the daemon (pipeline/bisection.py).
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from subscriber.adapters.postgres.quarantine import Filters, Quarantine, QuarantinedMessage
from subscriber.buckets import BucketTallies
from subscriber.errors import StoreError
from subscriber.events.order import fold
from subscriber.flow.breaker import PROBE_BACKOFF
from subscriber.model import Delivery, Lease, Message, Receipt
from subscriber.pipeline.attempts import locked_rows
from subscriber.pipeline.bisection import BatchPlan
from subscriber.pipeline.comparison import SUSPECTS_AT_MOST, comparison_row
from subscriber.pipeline.steps import Evidence, FindLockedRows, StoreRows, Wait
from subscriber.ports import Store

T = TypeVar("T")

PAGE_MESSAGES = 200
ROWS_PER_WRITE = 1000
CALL_ATTEMPTS = 8
"""Of one database call; with the backoff about half a minute, the length of an Aurora failover."""


class ReplayOptions(msgspec.Struct, frozen=True):
    """Options of a replay."""

    by: str
    """The name to store with each replayed message."""
    rate: float = 0.0
    """Messages per second at most; 0: unlimited."""
    dry_run: bool = False
    """Decode only: write no row and mark no message."""
    statement_seconds: float = 30.0
    """The write timeout."""


class Tally:
    """The counts of one replay so far."""

    def __init__(self) -> None:
        self.seen = 0
        self.replayed = 0
        """Messages that are written and marked; in a dry run, messages that would be."""
        self.rows = 0
        """Rows that were newer than the stored ones."""
        self.rejected: Counter[str] = Counter()
        """Messages that keep waiting, by the reason of their rejection now."""


class Replay:
    """One pass over the messages that `filters` select.

    Args:
        quarantine: the messages.
        store: writes the rows.
        decode: decodes a message with this release.
        options: see ReplayOptions.
        report: called with the tally after each page.
    """

    def __init__(
        self,
        quarantine: Quarantine,
        store: Store,
        decode: Callable[[Message], Delivery],
        options: ReplayOptions,
        report: Callable[[Tally], None],
    ) -> None:
        self._quarantine, self._store, self._decode = quarantine, store, decode
        self._options = options
        self._report = report
        self.tally = Tally()
        self.bucket_tallies = BucketTallies()
        """Of the rows that were written, for the table of buckets."""
        self._evidence = Evidence()
        self._failures = 0
        """Failures in a row that no row caused."""
        self._row_failure: StoreError | None = None

    async def run(self, filters: Filters) -> Tally:
        """Replay all messages once, in order.

        Raises:
            StoreError: the database failed for good or for too long; marked messages are done.
        """
        clock = asyncio.get_running_loop().time
        started_at, after = clock(), ("", "")
        at_most = page_messages(self._options.rate)
        while page := await with_retries(partial(self._quarantine.page, filters, after, at_most)):
            await self._replay_page(page)
            after = page[-1].position
            self._report(self.tally)
            await asyncio.sleep(pause_for(self._options.rate, self.tally.seen, clock() - started_at))
        return self.tally

    async def _replay_page(self, page: Sequence[QuarantinedMessage]) -> None:
        deliveries = [(message, self._decode(message_of(message))) for message in page]
        unstorable = {} if self._options.dry_run else await self._write([each for _, each in deliveries])
        done: list[QuarantinedMessage] = []
        for message, delivery in deliveries:
            reason = delivery.rejection.reason if delivery.rejection else unstorable.get(delivery.message.message_id)
            if reason is None:
                done.append(message)
            else:
                self.tally.rejected[reason] += 1
        if not self._options.dry_run:
            await with_retries(partial(self._quarantine.mark, done, self._options.by))
        self.tally.seen += len(page)
        self.tally.replayed += len(done)

    async def _write(self, deliveries: Sequence[Delivery]) -> dict[str, str]:
        """Write the rows of deliveries; return the messages that cannot be stored, with the reason."""
        unstorable: dict[str, str] = {}
        for group in groups(deliveries):
            for receipt in await self._write_group(group):
                if receipt.verdict != "stored":
                    unstorable[receipt.message.message_id] = receipt.reason
        return unstorable

    async def _write_group(self, deliveries: Sequence[Delivery]) -> tuple[Receipt, ...]:
        """Carry out the plan of one statement's rows, as the daemon does; the bodies are in quarantine already."""
        clock = asyncio.get_running_loop().time
        rows = fold(event for delivery in deliveries for event in delivery.events)
        known = [msgspec.structs.replace(delivery, rejection=None) for delivery in deliveries]
        plan = BatchPlan(known, rows, self._options.statement_seconds, lambda *_: True)
        while (step := plan.next(clock(), self._evidence)) is not None:
            if isinstance(step, Wait):
                await self._wait(step, plan)
                continue
            if isinstance(step, FindLockedRows):
                plan.record_locked(step, await locked_rows(self._store, step), clock(), self._evidence)
                continue
            error = await self._store_rows(step) if isinstance(step, StoreRows) else None
            plan.record(step, error, clock(), self._evidence)
        return plan.remaining_receipts(clock())

    async def _store_rows(self, step: StoreRows) -> StoreError | None:
        """One statement; its failure is the plan's to explain, unless only an operator or time can mend it.

        Raises:
            StoreError: the database fails for good, or CALL_ATTEMPTS times in a row.
        """
        if not step.rows:
            return None
        try:
            self.tally.rows += await self._store.store(step.rows, step.limit_seconds)
        except StoreError as error:
            self._note_failure(error)
            return error
        self.bucket_tallies.add(step.rows, asyncio.get_running_loop().time())
        self._failures = 0
        if step.is_evidence:
            self._evidence = msgspec.structs.replace(self._evidence, writes=self._evidence.writes + 1)
        return None

    def _note_failure(self, error: StoreError) -> None:
        if error.treatment.concerns_row:
            self._row_failure = error
            return
        self._failures += 1
        if self._failures == CALL_ATTEMPTS or not error.treatment.is_transient:
            raise error

    async def _wait(self, step: Wait, plan: BatchPlan) -> None:
        """Wait until a part is due, or make evidence about messages that failed alone.

        Raises:
            StoreError: our own row fails as well, or many rows fail and none is stored: no message is the cause.
        """
        if step.until < math.inf:
            await asyncio.sleep(max(0.0, step.until - asyncio.get_running_loop().time()))
            return
        unexplained = plan.unexplained
        if len(unexplained) > SUSPECTS_AT_MOST and self._row_failure is not None:
            raise self._row_failure
        await with_retries(partial(self._store.rehearse, comparison_row(unexplained[0])))
        self._evidence = msgspec.structs.replace(self._evidence, comparisons=self._evidence.comparisons + 1)


def groups(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Deliveries for one statement each: ROWS_PER_WRITE rows, or more if one message has more."""
    group: list[Delivery] = []
    rows = 0
    for delivery in deliveries:
        if group and rows + len(delivery.events) > ROWS_PER_WRITE:
            yield group
            group, rows = [], 0
        group.append(delivery)
        rows += len(delivery.events)
    if group:
        yield group


def message_of(quarantined: QuarantinedMessage) -> Message:
    """The message as it was received, for `decode`; its receipt handle is only a name."""
    return Message(
        queue=quarantined.queue,
        message_id=f"{quarantined.queue} {quarantined.message_id}",  # an id is unique only within its queue
        receipt_handle=f"{quarantined.queue} {quarantined.message_id}",
        body=_text(quarantined.body),
        sent_at=quarantined.quarantined_at.timestamp(),
        receive_count=quarantined.receive_count,
        lease=Lease(quarantined.queue, 0.0, set()),
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # the daemon never stores such a body; somebody may have inserted it by hand
        return body.decode("utf-8", "backslashreplace")


def page_messages(rate: float) -> int:
    """The size of a page: at a low rate the messages of one second, so that the pace is even."""
    return PAGE_MESSAGES if rate <= 0 else max(1, min(PAGE_MESSAGES, int(rate)))


def pause_for(rate: float, seen: int, elapsed_seconds: float) -> float:
    """Seconds to wait so that `seen` messages in `elapsed_seconds` do not exceed `rate` per second."""
    return 0.0 if rate <= 0 else max(0.0, seen / rate - elapsed_seconds)


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """Call the database, with retries after transient failures; each of these calls is idempotent."""
    for failures in range(1, CALL_ATTEMPTS):
        try:
            return await call()
        except StoreError as error:
            if not error.treatment.is_transient:
                raise
        await asyncio.sleep(PROBE_BACKOFF.delay_seconds(failures))
    return await call()
