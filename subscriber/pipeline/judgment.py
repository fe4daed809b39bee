"""What a failed statement says: whether to repeat it as it is, and whether a message is the cause. Pure."""

from __future__ import annotations

import math

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.flow.backoff import Backoff
from subscriber.pipeline.steps import Evidence, QuarantineBodies, StoreRows, Suspect

CONFLICT_TRIES = 3
"""Of a batch that loses against another transaction, before it is bisected: a session may keep one row locked."""

TRIES_AS_IT_IS = 2
"""Of a batch whose failure cannot be about a row, before it is bisected all the same: a row may crash a server. A try
counts only if the database was seen to work since the last one, so an outage bisects nothing."""

TRIES_ALONE = 3
"""Of a suspect whose failure does not concern a row, before it is delayed: a session may lock its row for a moment."""

CONFLICT_BACKOFF = Backoff(first_seconds=0.05, max_seconds=1.0, jitter=1.0)
"""After a deadlock or a lost serialization race: the other transaction is over in a moment."""

DATABASE_BACKOFF = Backoff(first_seconds=0.5, max_seconds=5.0, jitter=0.5)
"""After any other failure, unless the breaker makes the write wait longer."""

SERVER_WIDE_SQLSTATES = ("53100", "53300", "28")
"""Never caused by a row: a full disk, too many connections, a login. A full disk still accepts rows that need no new
space, so their success proves nothing about a row that does."""

REPEATED_AS_IT_IS = frozenset({Treatment.RETRY, Treatment.RECONNECT, Treatment.CREDENTIALS, Treatment.STOP})


def is_server_wide(error: StoreError) -> bool:
    """Whether no message can be the reason, whatever becomes of others."""
    return error.treatment is Treatment.CREDENTIALS or (error.sqlstate or "").startswith(SERVER_WIDE_SQLSTATES)


def takes_time(error: StoreError) -> bool:
    """Whether each statement with the row may wait until its time is over: the row is locked, or it conflicts."""
    return error.treatment in {Treatment.RETRY, Treatment.BACK_OFF} and not is_server_wide(error)


def is_poison(suspect: Suspect, error: StoreError, evidence: Evidence) -> bool:
    """Whether a suspect that failed once more is the cause, given what has been seen to work up to now."""
    may_tell = error.treatment.concerns_row or suspect.tries + 1 >= TRIES_ALONE
    return may_tell and not is_server_wide(error) and evidence.clears_database_since(suspect.seen)


def repeated(part: StoreRows, error: StoreError, now: float, evidence: Evidence) -> StoreRows | None:
    """The same part once more; None: look for the row. No part is repeated then, for its siblings would wait."""
    is_conflict = error.treatment is Treatment.RETRY
    counts = is_conflict or evidence != part.tried
    tries = part.tries + counts
    is_first = part.limit_seconds == math.inf and tries < (CONFLICT_TRIES if is_conflict else TRIES_AS_IT_IS)
    if not (is_first and (is_server_wide(error) or error.treatment in REPEATED_AS_IT_IS)):
        return None
    backoff = CONFLICT_BACKOFF if is_conflict else DATABASE_BACKOFF
    return msgspec.structs.replace(part, tries=tries, tried=evidence, due=now + backoff.delay_seconds(tries))


def are_unstorable(bodies: QuarantineBodies, error: StoreError, evidence: Evidence) -> bool:
    """Whether the quarantine will not take these bodies: they are refused, or it fails while the index takes rows."""
    if error.treatment is Treatment.BISECT:
        return True
    return bodies.seen is not None and evidence.clears_database_since(bodies.seen)


def bodies_again(bodies: QuarantineBodies, now: float, evidence: Evidence) -> QuarantineBodies:
    """The same bodies once more, after a moment."""
    due = now + DATABASE_BACKOFF.delay_seconds(bodies.tries + 1)
    return msgspec.structs.replace(bodies, tries=bodies.tries + 1, due=due, seen=bodies.seen or evidence)
