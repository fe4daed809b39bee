"""The project's exceptions, the process exit codes, and the table from database failure to treatment."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple


class ExitCode(enum.IntEnum):
    """Process exit codes."""

    DRAINED = 0
    """Stopped as asked: every held message is stored or released. SQS redelivers a message whose delete failed."""
    FAILED = 1
    """A failure inside the program."""
    CONFIGURATION = 2
    DATABASE = 3
    QUEUE = 4
    """SQS or another AWS service denied or failed a call."""
    SCHEMA = 5
    STOPPED_LATE = 6
    """The stop budget ran out: messages that were not stored were released."""
    DRIFT = 10
    """`reconcile` without --repair found that index and bucket differ; `features rebuild` that counters were wrong."""
    MISSING = 11
    """`exists` found that an object is not in the index."""


class SubscriberError(Exception):
    """A failure with a sentence for the operator and an exit code."""

    exit_code = ExitCode.FAILED


def innermost(error: Exception) -> Exception:
    """The one error inside groups of one, as a task group wraps the first failure of its tasks."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class ConfigurationError(SubscriberError):
    """Settings that cannot work; the text lists every mistake."""

    exit_code = ExitCode.CONFIGURATION


class DatabaseError(SubscriberError):
    """The database fails in a way that only its operator can fix."""

    exit_code = ExitCode.DATABASE


class QueueError(SubscriberError):
    """SQS, or AWS in front of it, fails in a way that only an operator can fix."""

    exit_code = ExitCode.QUEUE


class SchemaError(SubscriberError):
    """The schema is missing, older than this release, or of another major."""

    exit_code = ExitCode.SCHEMA


class DaemonError(SubscriberError):
    """The daemon that a command addresses does not answer, or its pipeline is not running."""


class SensorError(SubscriberError):
    """A sensor of the database's load has no reading; the text is one sentence. It never ends the process."""


class Treatment(enum.Enum):
    """What to do about a write that failed."""

    RETRY = "retry"
    """Write the same batch again, on any connection: it conflicted with another transaction."""
    BACK_OFF = "back_off"
    """Wait, write less at a time, then write again: the database is short of a resource."""
    RECONNECT = "reconnect"
    """Drop the connection. The outcome is unknown and counts as not done, because the upsert is idempotent."""
    CREDENTIALS = "credentials"
    """Fetch new credentials, then reconnect."""
    BISECT = "bisect"
    """A row cannot be stored: bisect the batch until its message stands alone; quarantine that message if the database
    takes other rows."""
    MAYBE_ROW = "maybe_row"
    """As BISECT, but every row is as likely to be the cause as one: it counts as a failure of the database too."""
    STOP = "stop"
    """Only an operator can fix it: stop receiving, leave the messages in the queue, report it."""

    @property
    def concerns_row(self) -> bool:
        """Whether a row may be the cause, so that its message belongs in the quarantine."""
        return self in {Treatment.BISECT, Treatment.MAYBE_ROW}

    @property
    def is_transient(self) -> bool:
        """Whether the same write may succeed later without anybody's help."""
        return self in {Treatment.RETRY, Treatment.BACK_OFF, Treatment.RECONNECT}

    @property
    def keeps_connection(self) -> bool:
        """Whether the server has reported the outcome of the statement, so that its connection can be used again."""
        return self in {Treatment.RETRY, Treatment.BACK_OFF, Treatment.BISECT, Treatment.MAYBE_ROW}

    @property
    def is_final_at_start(self) -> bool:
        """Whether the daemon gives up at its start: only an operator can change the answer."""
        return self in {Treatment.STOP, Treatment.CREDENTIALS}


class StoreError(DatabaseError):
    """A write, or the connection for it, failed; `treatment` says what to do about it.

    `detail` is the text of the database or the driver. It may quote a row, never a password.
    """

    def __init__(
        self,
        treatment: Treatment,
        word: str,
        sqlstate: str | None,
        detail: str,
        advice: str = "",
        *,
        names_own_constraint: bool = False,
    ) -> None:
        self.treatment = treatment
        self.names_own_constraint = names_own_constraint
        self.word = word
        self.sqlstate = sqlstate
        self.detail = detail
        self.advice = advice
        code = f"{word} {sqlstate}" if sqlstate else word
        super().__init__(f"{advice} ({code}: {detail})" if advice else f"{code}: {detail}")


class Failure(NamedTuple):
    """One row of the table: the name of a failure and its treatment."""

    treatment: Treatment
    word: str
    """Fit for a metric label."""
    advice: str
    """A sentence for the operator."""


_TABLE: Mapping[Treatment, Mapping[str, tuple[str, str]]] = {
    # A conflict with another transaction.
    Treatment.RETRY: {
        "40": ("serialization", "The transaction conflicted with another one; it is retried."),
        "40P01": ("deadlock", "Another writer locks index rows in another order: find it and sort its rows by key."),
        "55P03": ("lock_timeout", "Another session holds locks on the index for a long time: find it."),
        "55006": ("object_in_use", "Maintenance is using the table; the error ends with it."),
        "23505": ("unique_violation", "An index is being built concurrently; the error ends with the build."),
        "42P10": ("conflict_target", "The primary key is being rebuilt; the error ends with the rebuild."),
        "21000": ("duplicate_row", "One statement names a version twice: a bug in subscriber, report it."),
    },
    # The database is short of a resource.
    Treatment.BACK_OFF: {
        "53": ("resources", "The database is short of resources."),
        "53200": ("out_of_memory", "The database is out of memory."),
        "53300": ("too_many_connections", "Raise max_connections or lower the number of writers."),
        "57014": (
            "statement_timeout",
            "A write exceeded the write timeout: is the database overloaded, or are rows locked?",
        ),
        "54001": ("stack_depth", "The server's stack is exhausted: check max_stack_depth."),
    },
    # The connection is broken, or leads to the wrong node.
    Treatment.RECONNECT: {
        "08": ("connection_lost", "The connection to the database broke."),
        "57P01": ("shutdown", "The database is shutting down."),
        "57P02": ("crash", "A server process crashed; the database restarts."),
        "57P03": ("not_ready", "The database is starting up or shutting down."),
        "57P05": ("idle_timeout", "The database ended an idle session."),
        "25": ("transaction_state", "The session was in a state in which every statement fails."),
        "25006": ("read_only", "The session is read-only: is the host a replica, or default_transaction_read_only on?"),
        "standby": ("standby", "The host is not the writer, or no longer: use the cluster's writer endpoint."),
        "read_only_setting": (
            "read_only_setting",
            "The database or the role is set read-only: is the disk nearly full? RESET default_transaction_read_only.",
        ),
        "26000": ("statement_lost", "A prepared statement is missing: is a transaction pooler in between?"),
        "42P05": ("statement_mixed", "Prepared statements collide: is a transaction pooler in between?"),
        "cached_statement": ("statement_outdated", "The schema changed under a prepared statement."),
        "interface": ("connection_closed", "The connection was closed during a write."),
        "network": ("unreachable", "The database cannot be reached over the network."),
        "timeout": ("timeout", "The database did not answer in time; its host may be down."),
    },
    # Authentication.
    Treatment.CREDENTIALS: {
        "28": ("credentials", "The database rejects the user or its password, or pg_hba.conf has no entry for it."),
    },
    # One of the rows.
    Treatment.BISECT: {
        "22": ("unstorable_value", "A value cannot be stored, or a trigger of yours fails: see the detail."),
        "23502": ("null_value", "A value is missing: see the detail. A trigger of yours may have left it out."),
        "23503": ("foreign_key", "A row violates a foreign key of yours: see the detail."),
        "23514": ("check_violation", "A row violates a CHECK, or fits no partition: see the detail."),
    },
    # One of the rows, or every row.
    Treatment.MAYBE_ROW: {
        "54000": ("program_limit", "A row is too large for an index, or the database is out of transaction ids."),
        "P0": ("trigger", "One of your triggers on the index raises an exception."),
    },
    # Only an operator can fix it.
    Treatment.STOP: {
        "0A": ("unsupported", "The server does not support the statement: is it PostgreSQL 14 or later?"),
        "3D000": ("no_database", "The database does not exist: create it or correct the URL."),
        "3F000": ("no_schema", "The schema does not exist: run `subscriber migrate`."),
        "42": ("schema_mismatch", "The schema does not fit this release: run `subscriber migrate`."),
        "42501": ("no_privilege", "The user may not write to the index: GRANT it."),
        "42704": ("unknown_name", "The server does not know a name in use: is it a parameter of the URL?"),
        "53100": ("disk_full", "The database's disk is full."),
        "57P04": ("no_database", "The database was dropped."),
        "58": ("system_error", "The database server reports an operating system error: see its log."),
        "F0": ("server_configuration", "The server's configuration files are broken."),
        "XX": ("internal_error", "The database reports an internal error or corruption: see its log."),
        "certificate": ("certificate", "The server's certificate does not verify: check the CA file and host."),
        "no_tls": ("no_tls", "The server does not offer TLS: set ssl=on there, and check that it is the right host."),
        "pooler": ("pooler", "A pooler is in front of the database: set SUBSCRIBER_DATABASE_POOLER=transaction."),
        "pooler_mode": ("pooler_mode", "The pooler is in statement mode: set pool_mode=transaction there."),
        "unsupported_setting": (
            "unsupported_setting",
            "The server does not take a setting that the login asks for: is it PostgreSQL, or something in between?",
        ),
        "weaker_session": (
            "weaker_session",
            "The session lacks settings that its login asked for: see the detail. Is a pooler in between?",
        ),
        "driver": ("driver", "A setting or a parameter of the URL is rejected; the data is not the cause."),
    },
}

FAILURES: Mapping[str, Failure] = {
    key: Failure(treatment, word, advice) for treatment, rows in _TABLE.items() for key, (word, advice) in rows.items()
}
"""SQLSTATE, class of SQLSTATEs, or family of driver exceptions → failure. The longest matching key wins.

Codes and classes come from Appendix A of the PostgreSQL documentation. A family is a lower-case word that
the adapter chooses for an exception without SQLSTATE.
"""

UNKNOWN_FAILURE = Failure(
    Treatment.BACK_OFF,
    "unclassified",
    "An unclassified failure: it is retried, and no message is quarantined for it.",
)
"""Waiting costs only time: no message goes to the quarantine."""


def failure_of(key: str) -> Failure:
    """The row of the table for an SQLSTATE or a family."""
    return FAILURES.get(key) or FAILURES.get(key[:2]) or UNKNOWN_FAILURE


class QueueCallError(QueueError):
    """One call to a queue failed; the caller decides whether to retry.

    `code` is the service's error code (`QueryErrorCode` where there is one) or the name of the network failure.
    `retry_after_seconds` is how long the service asks to wait (`x-amz-retry-after`); 0 where it does not ask.
    """

    def __init__(self, code: str, detail: str, *, is_permanent: bool = False, retry_after_seconds: float = 0.0) -> None:
        self.code = code
        self.detail = detail
        self.is_permanent = is_permanent
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{code}: {detail}")


class ListingError(QueueError):
    """A bucket or an inventory cannot be read to its end: what was read before stands, nothing is concluded from it.

    `code` is S3's error code, the name of the network failure, or ours for a chain of pages that is not S3's.
    `is_permanent`: asking again gives the same answer. `retry_after_seconds` is how long the service asks to wait.
    """

    def __init__(self, code: str, detail: str, *, is_permanent: bool = False, retry_after_seconds: float = 0.0) -> None:
        self.code = code
        self.detail = detail
        self.is_permanent = is_permanent
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{code}: {detail}")


NO_CREDENTIALS_REMEDY = "give the task a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class AwsErrorKind(enum.Enum):
    """What an AWS error code means to its caller."""

    DENIED = "denied"
    """A policy denies the call."""
    NO_CREDENTIALS = "no_credentials"
    """Neither environment nor profile nor role gives credentials."""
    BAD_CREDENTIALS = "bad_credentials"
    """AWS does not know the access key."""
    BAD_SIGNATURE = "bad_signature"
    """The secret key is wrong, or this machine's clock."""
    EXPIRED_CREDENTIALS = "expired_credentials"
    """The role will renew them."""
    CLOCK_SKEW = "clock_skew"
    """This machine's clock differs too much from AWS's."""
    NO_QUEUE = "no_queue"
    NOT_FOUND = "not_found"
    """A resource other than a queue does not exist."""
    KEY = "key"
    """A KMS key cannot be used until an operator changes it."""
    KEY_UNAVAILABLE = "key_unavailable"
    """A KMS key cannot be used now."""
    INVALID_REQUEST = "invalid_request"
    """The service never accepts this request."""
    GONE_HANDLE = "gone_handle"
    """A receipt handle has expired, or its message was received again or deleted. SQS answers any of the codes."""
    THROTTLED = "throttled"
    OTHER = "other"
    """Anything else, network failures included; it may pass."""

    @property
    def is_permanent(self) -> bool:
        """Whether the same call can succeed only after a change by an operator."""
        return self in _PERMANENT_KINDS

    @property
    def concerns_credentials(self) -> bool:
        """Whether AWS rejects the credentials themselves (IAM User Guide, "Troubleshoot Signature Version 4")."""
        return self in _CREDENTIAL_KINDS

    @property
    def suggests_clock_skew(self) -> bool:
        """Whether correcting the clock may help."""
        return self in {AwsErrorKind.CLOCK_SKEW, AwsErrorKind.BAD_SIGNATURE}


_PERMANENT_KINDS = frozenset(
    {
        AwsErrorKind.DENIED,
        AwsErrorKind.NO_CREDENTIALS,
        AwsErrorKind.BAD_CREDENTIALS,
        AwsErrorKind.BAD_SIGNATURE,
        AwsErrorKind.NO_QUEUE,
        AwsErrorKind.NOT_FOUND,
        AwsErrorKind.KEY,
        AwsErrorKind.INVALID_REQUEST,
    }
)
_CREDENTIAL_KINDS = frozenset(
    {AwsErrorKind.BAD_CREDENTIALS, AwsErrorKind.BAD_SIGNATURE, AwsErrorKind.EXPIRED_CREDENTIALS}
)

_AWS_CODES: Mapping[AwsErrorKind, str] = {
    AwsErrorKind.DENIED: (
        "AccessDenied AccessDeniedException AuthFailure NotAuthorizedException UnauthorizedOperation"
    ),
    AwsErrorKind.NO_CREDENTIALS: "NoCredentials",
    AwsErrorKind.BAD_CREDENTIALS: (
        "InvalidAccessKeyId InvalidClientTokenId MissingAuthenticationToken UnrecognizedClientException"
    ),
    AwsErrorKind.BAD_SIGNATURE: "IncompleteSignature InvalidSignatureException SignatureDoesNotMatch",
    AwsErrorKind.EXPIRED_CREDENTIALS: "ExpiredToken ExpiredTokenException",
    AwsErrorKind.CLOCK_SKEW: "RequestExpired RequestInTheFuture RequestTimeTooSkewed",
    AwsErrorKind.NO_QUEUE: "InvalidAddress QueueDoesNotExist",
    AwsErrorKind.NOT_FOUND: "ClusterNotFoundException NoSuchBucket ResourceNotFoundException",
    AwsErrorKind.KEY: "DecryptionFailure KmsAccessDenied KmsDisabled KmsNotFound",
    AwsErrorKind.KEY_UNAVAILABLE: "KmsInvalidKeyUsage KmsInvalidState KmsOptInRequired KmsThrottled",
    AwsErrorKind.INVALID_REQUEST: (
        "InvalidParameterException InvalidRequestException InvalidSecurity TASK_NOT_VALID "
        "UnsupportedFeatureException ValidationException"
    ),
    AwsErrorKind.GONE_HANDLE: "InvalidParameterValue MessageNotInflight ReceiptHandleIsInvalid",
    AwsErrorKind.THROTTLED: "Throttled ThrottlingException",
}
"""Codes of the API references of SQS, S3, Secrets Manager and ECS, with their common errors.

Two codes are ours: `NoCredentials` for botocore's failure, `Throttled` for an HTTP 429 without a code.
"""

AWS_ERROR_KINDS: Mapping[str, AwsErrorKind] = {
    code: kind for kind, codes in _AWS_CODES.items() for code in codes.split()
}
"""AWS error code → what it means to its caller; the only place that lists codes."""


def aws_error_kind(code: str) -> AwsErrorKind:
    """What an AWS error code means; a KMS code that is not in the table counts as temporary."""
    unknown = AwsErrorKind.KEY_UNAVAILABLE if code.lower().startswith("kms") else AwsErrorKind.OTHER
    return AWS_ERROR_KINDS.get(code, unknown)
