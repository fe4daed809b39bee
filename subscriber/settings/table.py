"""Settings: read once from the environment, frozen, all mistakes reported together.

The class body is the one table. The parsing, the error messages, `subscriber settings` and config/README.md derive from
it; adding a setting means adding a field. Only `app`, `cli` and `options` read settings; every other part takes
options of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from subscriber import choices
from subscriber.choices import AuthMethod, LoadSource, LogFormat, LogLevel, Pooler, Switch, TaskProtection, TlsMode
from subscriber.model import IN_FLIGHT_MESSAGES_AT_MOST, MESSAGES_PER_POLL, VISIBILITY_SECONDS_AT_MOST
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.enrichment import EnrichmentSettings
from subscriber.settings.loader import read_settings
from subscriber.settings.parsers import (
    BUCKETS,
    DATABASE_URL,
    FILE,
    HOST,
    INSTANCE_ID,
    QUEUE_URLS,
    SCHEMA,
    SECRET,
    TOKEN,
    Declared,
    Row,
    Setting,
    choice,
    declared_by,
    number,
    rows_of,
    whole,
)

WRITES_AT_LEAST, WRITES_AT_MOST = 0.01, 64.0
"""The range of both bounds of the concurrency limit."""


class Settings(EnrichmentSettings, frozen=True, kw_only=True):
    """All that an operator may choose. `from_environment` validates; the constructor checks nothing."""

    queue_urls: Annotated[
        tuple[str, ...],
        Setting(
            QUEUE_URLS,
            "The queues to read: standard SQS queues that receive S3 events from S3, SNS or EventBridge. A VPC, FIPS "
            "or dual-stack endpoint of SQS as the host is called, unless `AWS_ENDPOINT_URL_SQS` names another.",
            default_shown="required (run, check)",
            group="Queues and buckets",
        ),
    ]
    buckets: Annotated[
        tuple[str, ...],
        Setting(
            BUCKETS,
            "Bucket allow-list; events from other buckets are quarantined.",
            default_shown="none; every bucket is allowed",
        ),
    ] = ()
    keep_requester: Annotated[
        Switch,
        Setting(
            choice(Switch),
            "Whether rows keep who made the request of their event, from which address, and its id: personal data, "
            "in columns that the views do not show. With false they stay empty.",
        ),
    ] = "false"
    database_url: Annotated[
        str,
        Setting(
            DATABASE_URL,
            "The database that holds the object index. Its password is never printed or logged.",
            is_secret=True,
            group="Database",
        ),
    ]
    database_schema: Annotated[
        str, Setting(SCHEMA, "The schema of the tables and the view. PostgreSQL limits names to 63 bytes.")
    ] = choices.DATABASE_SCHEMA
    database_auth: Annotated[
        AuthMethod,
        Setting(
            choice(AuthMethod),
            "The source of the password for each new connection: the URL, an IAM token signed with the task's role, "
            "or the secret DATABASE_SECRET_ARN.",
        ),
    ] = "password"
    database_secret_arn: Annotated[
        str | None,
        Setting(
            SECRET,
            "The secret in Secrets Manager that holds the password, as the JSON of RDS or as plain text. A user name "
            "in the secret overrides the one in the URL.",
            default_shown="none; required for DATABASE_AUTH=secret",
        ),
    ] = None
    database_pooler: Annotated[
        Pooler,
        Setting(
            choice(Pooler),
            "Whether a pooler in transaction mode (PgBouncer) sits in front of the database. It costs four round "
            "trips per write; prefer a direct connection, since the daemon opens few.",
        ),
    ] = "none"
    database_tls: Annotated[
        TlsMode,
        Setting(
            choice(TlsMode),
            "Whether the connection is encrypted and the server's certificate and host name are verified.",
            default_shown="verify-full; disable if every host is a socket or loopback",
        ),
    ] = "verify-full"
    database_ca_file: Annotated[
        Path | None,
        Setting(
            FILE,
            "PEM file of the certificate authorities that may sign the server's certificate.",
            default_shown="the system's own",
        ),
    ] = None
    database_load_source: Annotated[
        LoadSource,
        Setting(
            choice(LoadSource),
            "The source of the database's load; auto selects the best source that works and logs its choice. With "
            "none, concurrency grows from the minimum while the task's own writes do not slow down.",
            group="Load control",
        ),
    ] = "none"
    database_instance_id: Annotated[
        str | None,
        Setting(
            INSTANCE_ID,
            "The RDS instance whose load is read. Leave it unset if the URL's host is a cluster's writer endpoint: "
            "the daemon then follows the writer through failovers.",
            default_shown="derived from the host of the URL",
        ),
    ] = None
    database_vcpus: Annotated[
        float | None,
        Setting(
            number(0.1, 1024, "vCPUs"),
            "The number of vCPUs of the database, for sources that count processes or sessions.",
            "vCPUs",
            default_shown="what RDS or this machine reports",
        ),
    ] = None
    database_cpu_target_percent: Annotated[
        float, Setting(number(1, 100, "percent"), "CPU target while lag is at most LAG_TARGET_SECONDS.", "percent")
    ] = choices.CPU_TARGET_PERCENT
    database_cpu_max_percent: Annotated[
        float,
        Setting(
            number(1, 100, "percent"),
            "CPU ceiling once lag reaches LAG_MAX_SECONDS. Between the two lags the ceiling rises with the lag.",
            "percent",
        ),
    ] = choices.CPU_MAX_PERCENT
    lag_target_seconds: Annotated[
        float, Setting(number(0, 86_400, "seconds"), "Rows are on time up to this lag.", "seconds")
    ] = choices.LAG_TARGET_SECONDS
    lag_max_seconds: Annotated[
        float,
        Setting(
            number(1, 604_800, "seconds"),
            "From this lag on the daemon may use DATABASE_CPU_MAX_PERCENT.",
            "seconds",
        ),
    ] = choices.LAG_MAX_SECONDS
    batch_max_rows: Annotated[
        int,
        Setting(
            whole(1, 10_000, "rows"),
            "Maximum rows, and maximum messages, in a batch. Load tests showed no gain above 1000. With a load source "
            "the limit is lower while rows are expensive.",
            "rows",
            group="Batches",
        ),
    ] = choices.BATCH_MAX_ROWS
    batch_linger_seconds: Annotated[
        float,
        Setting(
            number(0, 60, "seconds"),
            "Maximum time to accumulate a batch, from its first message: the latency under light load.",
            "seconds",
        ),
    ] = 0.25
    prefetch_messages: Annotated[
        int,
        Setting(
            whole(MESSAGES_PER_POLL, IN_FLIGHT_MESSAGES_AT_MOST, "messages"),
            "Maximum messages held at once, written or not. SQS allows about 120,000 in flight in a standard queue.",
            "messages",
            group="Memory",
        ),
    ] = 10_000
    prefetch_bytes: Annotated[
        int,
        Setting(
            whole(1_048_576, 17_179_869_184, "bytes"),
            "Maximum bytes of message bodies held at once. A poll reserves space for ten events of 64 KB, the largest "
            "S3 sends, or for as much as its queue has recently delivered.",
            "bytes",
        ),
    ] = 67_108_864
    receive_max_polls: Annotated[
        int,
        Setting(
            whole(1, 1000, "polls"),
            "Maximum concurrent polls (ReceiveMessage), each for up to ten messages.",
            "polls",
            group="Polling",
        ),
    ] = 64
    receive_wait_seconds: Annotated[
        int,
        Setting(
            whole(1, 20, "seconds"),
            "How long a poll waits for a first message (WaitTimeSeconds, at most 20). A shutdown waits for open polls.",
            "seconds",
        ),
    ] = 20
    receive_visibility_seconds: Annotated[
        int,
        Setting(
            whole(1, VISIBILITY_SECONDS_AT_MOST, "seconds"),
            "How long a received message stays invisible to other consumers (VisibilityTimeout, at most 12 hours).",
            "seconds",
        ),
    ] = 300
    hold_max_seconds: Annotated[
        float,
        Setting(
            number(1, 42_000, "seconds"),
            "How long messages that cannot be written are kept invisible, by extensions; then they are released.",
            "seconds",
        ),
    ] = 900
    write_min_concurrency: Annotated[
        float,
        Setting(
            number(WRITES_AT_LEAST, WRITES_AT_MOST, "writes"),
            "Minimum concurrency. Below 1 it is a duty cycle: the fraction of time that one writer is active.",
            "writes",
            group="Writes",
        ),
    ] = 0.05
    write_max_concurrency: Annotated[
        float,
        Setting(
            number(WRITES_AT_LEAST, WRITES_AT_MOST, "writes"),
            "Maximum concurrent writes, which bounds the connections too. A deployment runs old and new tasks at once.",
            "writes",
        ),
    ] = 8
    write_timeout_seconds: Annotated[
        float,
        Setting(
            number(0.1, 600, "seconds"),
            "How long one write may take before it is canceled and retried.",
            "seconds",
        ),
    ] = choices.WRITE_TIMEOUT_SECONDS
    list_price_per_million: Annotated[
        float,
        Setting(
            number(0, 1_000_000, "USD"),
            "The price of a million LIST requests, for the cost that `reconcile` and `backfill` show. S3 Standard in "
            "us-east-1 takes 5 USD (Amazon S3 pricing); a price list of your region has yours.",
            "USD",
            group="Jobs",
        ),
    ] = choices.LIST_PRICE_PER_MILLION
    reconcile_every_hours: Annotated[
        float | None,
        Setting(
            number(0.01, 8760, "hours"),
            "How often the fleet compares each bucket (of BUCKETS, else each one in the index) with the index, one "
            "worker at a time. It needs s3:ListBucket and s3:ListBucketVersions, and a direct connection.",
            "hours",
            default_shown="none; buckets are not compared",
        ),
    ] = None
    reconcile_repair: Annotated[
        Switch,
        Setting(
            choice(Switch),
            "Whether the comparison of RECONCILE_EVERY_HOURS repairs what differs; false only reports it.",
        ),
    ] = "false"
    http_host: Annotated[
        str,
        Setting(
            HOST,
            "The address of the HTTP server for health, metrics and control. 0.0.0.0 exposes it to the network over "
            "IPv4, :: over IPv6 and IPv4.",
            group="HTTP server",
        ),
    ] = "127.0.0.1"
    http_port: Annotated[
        int,
        Setting(whole(0, 65_535), "The port of the HTTP server; 0 takes a free port and logs it."),
    ] = 8080
    control_token: Annotated[
        str | None,
        Setting(
            TOKEN,
            "Bearer token that a command to /control must carry. Generate it randomly and protect it like the "
            "password.",
            default_shown="none; commands are rejected",
            is_secret=True,
        ),
    ] = None
    stop_timeout_seconds: Annotated[
        float,
        Setting(
            number(1, 115, "seconds"),
            "Maximum duration of a shutdown. Fargate kills a task after at most 120 (stopTimeout): reserve five.",
            "seconds",
            group="Shutdown",
        ),
    ] = 110
    task_protection: Annotated[
        TaskProtection,
        Setting(
            choice(TaskProtection),
            "On ECS: busy protects the task from scale-in and deployments while it holds messages, for at most 15 "
            "minutes without a break; none relies on the shutdown alone.",
        ),
    ] = "busy"
    log_level: Annotated[
        LogLevel,
        Setting(choice(LogLevel), "The minimum severity of a log line.", group="Log"),
    ] = "info"
    log_format: Annotated[
        LogFormat,
        Setting(
            choice(LogFormat),
            "The format of log lines on stdout; auto is console on a terminal and JSON elsewhere.",
        ),
    ] = "auto"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, needs_queues: bool = True) -> Self:
        """Read every setting, or raise one ConfigurationError with a line for each mistake.

        Variables without our prefix are ignored; an empty value counts as unset.

        Args:
            environment: The variables of the process.
            needs_queues: Whether QUEUE_URLS is required; a command that calls no queue does without it.
        """
        unset = {} if needs_queues else {"queue_urls": ()}
        return cls(**read_settings(environment, declared_settings(cls), unset=unset))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no log line may contain: every secret setting, and the database password in each of its forms."""
        values = (
            str(value) for name in self._secret_names if name != "database_url" and (value := getattr(self, name))
        )
        return (*DatabaseUrl.parse(self.database_url).secrets, *values)

    def redacted(self) -> dict[str, object]:
        """Every setting by name, fit for the log: plain values, but asterisks for a secret and for a URL's password."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__}
        asterisks = {name: plain[name] and "***" for name in self._secret_names}
        return plain | asterisks | {"database_url": DatabaseUrl.parse(self.database_url).shown}

    @property
    def _secret_names(self) -> tuple[str, ...]:
        return tuple(name for name, known in declared_settings(type(self)).items() if known.setting.is_secret)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.redacted().items())})"


@functools.cache
def declared_settings(settings: type[Settings] = Settings) -> Mapping[str, Declared]:
    """What the class body declares, by field name, in order."""
    return declared_by(settings)


def settings_table() -> list[Row]:
    """The reference: one row per setting."""
    return rows_of(declared_settings())
