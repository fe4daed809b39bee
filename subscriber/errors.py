"""Our few exceptions, what each exit code means, and the one table from database failure to treatment."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple


class ExitCode(enum.IntEnum):
    """What the process says with its last breath."""

    DRAINED = 0
    """Stopped as asked: what was held is stored or handed back; of what is stored, a delete that failed comes again."""
    FAILED = 1
    """A failure of our own."""
    CONFIGURATION = 2
    DATABASE = 3
    QUEUE = 4
    """The queue or AWS refused."""
    SCHEMA = 5
    STOPPED_LATE = 6
    """The stop budget ran out: what was not stored was handed back."""


class SubscriberError(Exception):
    """A failure that has a sentence for the operator and an exit code."""

    exit_code = ExitCode.FAILED


class ConfigurationError(SubscriberError):
    """Settings that cannot work, all mistakes in one text."""

    exit_code = ExitCode.CONFIGURATION


class DatabaseError(SubscriberError):
    """The database refuses in a way that only its operator can mend."""

    exit_code = ExitCode.DATABASE


class QueueError(SubscriberError):
    """The queue, or AWS before it, refuses in a way that only an operator can mend."""

    exit_code = ExitCode.QUEUE


class SchemaError(SubscriberError):
    """The schema is missing, older than this release, or of another major."""

    exit_code = ExitCode.SCHEMA


class DaemonError(SubscriberError):
    """A daemon that was spoken to from the command line is not there, or not at work."""


class SensorError(SubscriberError):
    """A sensor of the database's load has no answer; the text is one sentence. It never ends anything."""


class Treatment(enum.Enum):
    """What to do about a write that failed. Named after the act, so that the table below reads as advice."""

    RETRY = "retry"
    """Write the same batch again at once, on any connection: chance was against it."""
    BACK_OFF = "back_off"
    """Wait, ask for less at a time, then write again: the database is short of something."""
    RECONNECT = "reconnect"
    """Drop the connection; the outcome is unknown, which counts as not done: the upsert is idempotent."""
    CREDENTIALS = "credentials"
    """Fetch the credentials anew, then reconnect."""
    BISECT = "bisect"
    """A row cannot be stored: write the halves apart until it stands alone, then quarantine its message."""
    MAYBE_ROW = "maybe_row"
    """Perhaps a row, perhaps all of them: as HALVE once other rows are taken meanwhile, and as STOP until then."""
    STOP = "stop"
    """Only an operator can mend it: stop consuming, keep the messages in the queue, say so."""


class StoreError(DatabaseError):
    """A write, or a connection for it, failed; what to do about it is already decided.

    `detail` is what the database or the driver said. It may quote a row, never a password.
    """

    def __init__(self, treatment: Treatment, word: str, sqlstate: str | None, detail: str, advice: str = "") -> None:
        self.treatment = treatment
        self.word = word
        self.sqlstate = sqlstate
        self.detail = detail
        self.advice = advice
        code = f"{word} {sqlstate}" if sqlstate else word
        super().__init__(f"{advice} ({code}: {detail})" if advice else f"{code}: {detail}")


class Failure(NamedTuple):
    """One row of the table: what a failure is called and what is done about it."""

    treatment: Treatment
    word: str
    """Fit for a metric label."""
    advice: str
    """A sentence for the operator."""


_TABLE: Mapping[Treatment, Mapping[str, tuple[str, str]]] = {
    # Chance was against it.
    Treatment.RETRY: {
        "40": ("serialization", "The transaction lost against another one; it is repeated."),
        "40P01": ("deadlock", "Another writer locks rows of the index in another order; find and sort it."),
        "55P03": ("lock_timeout", "Something holds locks on the index for long; find it."),
        "55006": ("object_in_use", "Maintenance is using the table; it passes."),
        "23505": ("unique_violation", "An index is being built concurrently; it passes with the build."),
        "42P10": ("conflict_target", "The primary key is being rebuilt; it passes with the rebuild."),
        "21000": ("duplicate_row", "One statement names a version twice: a fault of ours, report it."),
    },
    # The database is short of something.
    Treatment.BACK_OFF: {
        "53": ("resources", "The database is short of resources."),
        "53200": ("out_of_memory", "The database is out of memory."),
        "53300": ("too_many_connections", "Raise max_connections or lower the number of writers."),
        "57014": ("statement_timeout", "A write took longer than the write timeout: overloaded, or locked out?"),
        "54001": ("stack_depth", "The server's stack is exhausted; look into its limits."),
    },
    # The connection is lost, or leads to the wrong node.
    Treatment.RECONNECT: {
        "08": ("connection_lost", "The connection to the database broke."),
        "57P01": ("shutdown", "The database is shutting down."),
        "57P02": ("crash", "A process of the database crashed; it restarts."),
        "57P03": ("not_ready", "The database is starting up or shutting down."),
        "57P05": ("idle_timeout", "The database ended an idle session."),
        "25": ("transaction_state", "The session was in a state that no statement survives."),
        "25006": ("read_only", "The host is not the writer (any more): use the cluster's writer endpoint."),
        "26000": ("statement_lost", "A prepared statement is gone: is a transaction pooler in between?"),
        "42P05": ("statement_mixed", "Prepared statements are mixed up: is a transaction pooler in between?"),
        "cached_statement": ("statement_outdated", "The schema changed under a prepared statement."),
        "interface": ("connection_closed", "The connection was closed underneath a write."),
        "network": ("unreachable", "The database cannot be reached over the network."),
        "timeout": ("timeout", "The database gave no answer in time; its host may have gone silently."),
    },
    # Who we are.
    Treatment.CREDENTIALS: {
        "28": ("credentials", "The database refuses the user or its password, or has no entry for us."),
    },
    # One of the rows.
    Treatment.BISECT: {
        "22": ("unstorable_value", "A value cannot be stored; its message goes to quarantine."),
        "23502": ("null_value", "A value is missing; its message goes to quarantine."),
        "23503": ("foreign_key", "A row breaks a foreign key; its message goes to quarantine."),
        "23514": ("check_violation", "A row breaks a CHECK; its message goes to quarantine."),
    },
    # One of the rows, or the rule itself.
    Treatment.MAYBE_ROW: {
        "54000": ("program_limit", "A row is too large for an index, or the database is out of transaction ids."),
        "P0": ("trigger", "A trigger of yours on the index raises an exception."),
    },
    # Nobody but the operator can help.
    Treatment.STOP: {
        "0A": ("unsupported", "The server does not support what we ask: is it PostgreSQL 14 or later?"),
        "3D000": ("no_database", "The database does not exist: create it or correct the URL."),
        "3F000": ("no_schema", "The schema does not exist: run `subscriber migrate`."),
        "42": ("schema_mismatch", "The schema does not fit this release: run `subscriber migrate`."),
        "42501": ("no_privilege", "The user may not write to the index: GRANT it."),
        "42704": ("unknown_name", "The server does not know a name we use: is it a parameter of the URL?"),
        "53100": ("disk_full", "The database's disk is full."),
        "57P04": ("no_database", "The database was dropped."),
        "58": ("system_error", "The database's operating system fails: look at its log."),
        "F0": ("server_configuration", "The server's configuration files are broken."),
        "XX": ("internal_error", "The database reports a fault or corruption of its own: look at its log."),
        "certificate": ("certificate", "The server's certificate does not verify: check the CA file and host."),
        "no_tls": ("no_tls", "The server answers that it speaks no TLS: set ssl=on there, and trust no other host."),
        "pooler": ("pooler", "A pooler stands before the database: set SUBSCRIBER_DATABASE_POOLER=transaction."),
        "driver": ("driver", "A setting, or a parameter of the URL, is refused; it is not the data."),
    },
}

FAILURES: Mapping[str, Failure] = {
    key: Failure(treatment, word, advice) for treatment, rows in _TABLE.items() for key, (word, advice) in rows.items()
}
"""SQLSTATE, class of SQLSTATEs, or family of driver exceptions → what it is. The longest key that fits counts.

Codes and classes are those of Appendix A of PostgreSQL's documentation. A family is a lower-case word that
the edge chooses for an exception which carries no SQLSTATE.
"""

UNKNOWN_FAILURE = Failure(
    Treatment.BACK_OFF,
    "unclassified",
    "A failure nobody has met yet: neither the data nor the operator is blamed.",
)
"""Waiting costs time only: no message goes to quarantine and none is lost."""


def failure_of(key: str) -> Failure:
    """The row of the table for an SQLSTATE or a family."""
    return FAILURES.get(key) or FAILURES.get(key[:2]) or UNKNOWN_FAILURE


class QueueCallError(QueueError):
    """One call to a queue failed; whoever made it tries again.

    `code` is the service's word (`QueryErrorCode` where there is one) or the name of the network failure.
    """

    def __init__(self, code: str, detail: str, *, is_permanent: bool = False) -> None:
        self.code = code
        self.detail = detail
        self.is_permanent = is_permanent
        super().__init__(f"{code}: {detail}")
