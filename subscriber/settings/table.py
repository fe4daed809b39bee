"""Settings: read once from the environment, frozen, every mistake reported at once.

The class body is the one table. From it come the parsing, the text of the errors,
`subscriber settings` and config/README.md; adding a setting is adding a field. Only `app` and `cli` read settings:
everything else is given options of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from subscriber.settings.database_url import DatabaseUrl
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


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that an operator may choose. `from_environment` is the door; the constructor checks nothing."""

    queue_urls: Annotated[
        tuple[str, ...],
        Setting(QUEUE_URLS, "The queues to read: standard SQS queues that S3, SNS or EventBridge fill."),
    ]
    buckets: Annotated[
        tuple[str, ...],
        Setting(
            BUCKETS,
            "The buckets whose events may become rows. Events of any other are kept in the quarantine.",
            default_shown="none; every bucket's are taken",
        ),
    ] = ()
    database_url: Annotated[
        str,
        Setting(DATABASE_URL, "The database that holds the object index; never shown anywhere.", secret=True),
    ]
    database_schema: Annotated[
        str, Setting(SCHEMA, "The schema of tables and view. PostgreSQL's names end at 63 bytes.")
    ] = "subscriber"
    database_auth: Annotated[
        Literal["password", "iam", "secret"],
        Setting(
            choice("password", "iam", "secret"),
            "Where the password comes from, for every new connection: the URL, a token of IAM that the task's role "
            "signs, or DATABASE_SECRET_ARN.",
        ),
    ] = "password"
    database_secret_arn: Annotated[
        str | None,
        Setting(
            SECRET,
            "The secret in Secrets Manager that holds the password, as RDS's JSON or as plain text. A user in it "
            "counts more than that of the URL.",
            default_shown="none; needed for DATABASE_AUTH=secret",
        ),
    ] = None
    database_pooler: Annotated[
        Literal["none", "transaction"],
        Setting(
            choice("none", "transaction"),
            "Whether a pooler with transaction pooling (PgBouncer) stands before the database. It costs four round "
            "trips a write; a direct connection is better, since there are few.",
        ),
    ] = "none"
    database_tls: Annotated[
        Literal["verify-full", "disable"],
        Setting(
            choice("verify-full", "disable"),
            "Whether the connection is encrypted and the server's certificate and name are checked.",
            default_shown="verify-full; disable where every host is a socket or loopback",
        ),
    ] = "verify-full"
    database_ca_file: Annotated[
        Path | None,
        Setting(
            FILE,
            "The certificates, as PEM, that may sign the server's.",
            default_shown="the system's own",
        ),
    ] = None
    database_load_source: Annotated[
        Literal["auto", "performance_insights", "cloudwatch", "aurora_stat", "active_sessions", "local", "none"],
        Setting(
            choice("auto", "performance_insights", "cloudwatch", "aurora_stat", "active_sessions", "local", "none"),
            "Where the database's load is read: auto is the best source that answers, and the log says which. With "
            "none, write time and errors alone govern the concurrency.",
        ),
    ] = "none"
    database_instance_id: Annotated[
        str | None,
        Setting(
            INSTANCE_ID,
            "The instance in RDS whose load is read. Leave it out where the host is a cluster's writer endpoint: then "
            "the writer is followed through failovers.",
            default_shown="what the host of the URL says",
        ),
    ] = None
    database_vcpus: Annotated[
        float | None,
        Setting(
            number(0.1, 1024, "processors"),
            "How many processors the database has, for the sources that count processes or sessions.",
            "processors",
            default_shown="what RDS or this machine says",
        ),
    ] = None
    database_cpu_target_percent: Annotated[
        float, Setting(number(1, 100, "percent"), "The CPU that is kept to while rows are in time.", "percent")
    ] = 60
    database_cpu_max_percent: Annotated[
        float, Setting(number(1, 100, "percent"), "The CPU that is allowed when rows are very late.", "percent")
    ] = 85
    lag_target_seconds: Annotated[
        float, Setting(number(0, 86_400, "seconds"), "Rows no later than this are in time.", "seconds")
    ] = 10
    lag_max_seconds: Annotated[
        float, Setting(number(1, 604_800, "seconds"), "Rows as late as this are very late.", "seconds")
    ] = 300
    batch_max_rows: Annotated[
        int,
        Setting(
            whole(1, 10_000, "rows"),
            "A batch leaves when it holds so many rows, or messages. Beyond 1000 a trial gained nothing. "
            "With a source of the load it may be fewer, where rows are dear.",
            "rows",
        ),
    ] = 1000
    batch_linger_seconds: Annotated[
        float,
        Setting(
            number(0, 60, "seconds"),
            "How long a batch may wait for company, counted from its first message: the latency of light load.",
            "seconds",
        ),
    ] = 0.25
    prefetch_messages: Annotated[
        int,
        Setting(
            whole(10, 120_000, "messages"),
            "Most messages held at once, written or not. SQS lets about 120,000 of a standard queue be in flight.",
            "messages",
        ),
    ] = 10_000
    prefetch_bytes: Annotated[
        int,
        Setting(
            whole(1_048_576, 17_179_869_184, "bytes"),
            "Most bytes of bodies held at once. A poll keeps room for ten of 64 KB, the largest event of S3, "
            "or for as much as its queue has brought lately.",
            "bytes",
        ),
    ] = 67_108_864
    receive_max_polls: Annotated[
        int,
        Setting(whole(1, 1000, "polls"), "Most polls open at once, each for ten messages.", "polls"),
    ] = 64
    receive_wait_seconds: Annotated[
        int,
        Setting(
            whole(1, 20, "seconds"),
            "How long a poll waits for a first message (WaitTimeSeconds, at most 20). A stop waits for it too.",
            "seconds",
        ),
    ] = 20
    receive_visibility_seconds: Annotated[
        int,
        Setting(
            whole(1, 43_200, "seconds"),
            "How long a received message stays hidden from others (VisibilityTimeout, at most 12 hours).",
            "seconds",
        ),
    ] = 300
    hold_max_seconds: Annotated[
        float,
        Setting(
            number(1, 42_000, "seconds"),
            "How long messages that cannot be written are kept hidden, again and again; then they are handed back.",
            "seconds",
        ),
    ] = 900
    write_min_concurrency: Annotated[
        float,
        Setting(
            number(0.01, 64, "writes"),
            "The least concurrency. Below one it is the part of its time that one writer may work.",
            "writes",
        ),
    ] = 0.05
    write_max_concurrency: Annotated[
        float,
        Setting(
            number(0.01, 64, "writes"),
            "The most writes at once, and so the most connections. A deployment runs old and new tasks together.",
            "writes",
        ),
    ] = 8
    write_timeout_seconds: Annotated[
        float,
        Setting(
            number(0.1, 600, "seconds"),
            "How long one write may take before it is cancelled and tried again.",
            "seconds",
        ),
    ] = 30
    http_host: Annotated[
        str,
        Setting(HOST, "The address of the health and metrics pages. 0.0.0.0 shows them to the network."),
    ] = "127.0.0.1"
    http_port: Annotated[
        int,
        Setting(whole(0, 65_535), "The port of those pages; 0 takes a free one, and logs it."),
    ] = 8080
    control_token: Annotated[
        str | None,
        Setting(
            TOKEN,
            "What a command to /control must bring. Make it a random one, and keep it as secret as the password.",
            default_shown="none; commands are refused",
            secret=True,
        ),
    ] = None
    stop_timeout_seconds: Annotated[
        float,
        Setting(
            number(1, 115, "seconds"),
            "How long a stop may take. Fargate kills after at most 120 (stopTimeout): leave it five to spare.",
            "seconds",
        ),
    ] = 110
    task_protection: Annotated[
        Literal["busy", "none"],
        Setting(
            choice("busy", "none"),
            "On ECS: busy protects the task from scale-in and deployments while it holds messages, a quarter of an "
            "hour at most without a pause; none leaves it to the stop alone.",
        ),
    ] = "busy"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting(choice("debug", "info", "warning", "error"), "The least severe log line that is written."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Setting(
            choice("auto", "json", "console"),
            "How log lines look on stdout; auto is console on a terminal and JSON elsewhere.",
        ),
    ] = "auto"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read every setting, or raise one ConfigurationError with a line for each mistake.

        Other variables than our own are none of our business; an empty value counts as none.
        """
        return cls(**read_settings(environment, declared_settings()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no log line may contain: the password in each of its forms, the whole URL, and the token."""
        token = (self.control_token,) if self.control_token else ()
        return (*DatabaseUrl.parse(self.database_url).secrets, *token)

    def redacted(self) -> dict[str, object]:
        """Every setting by name, fit to be logged: plain values, password and token hidden."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        token = self.control_token and "***"
        return shown | {"database_url": DatabaseUrl.parse(self.database_url).shown, "control_token": token}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.redacted().items())})"


@functools.cache
def declared_settings() -> Mapping[str, Declared]:
    """What the class body declares, by the name of the field, in order."""
    return declared_by(Settings)


def settings_table() -> list[Row]:
    """The reference: one row per setting, as the operator must know it."""
    return rows_of(declared_settings())
