"""The first part of the table of settings: the queues, the database, and what is known of its load.

A class of its own for no other reason than its length; `table.Settings` adds the rest and is what everybody reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from subscriber.settings.values import (
    BUCKETS,
    DATABASE_URL,
    FILE,
    INSTANCE_ID,
    QUEUE_URLS,
    SCHEMA,
    SECRET,
    Setting,
    choice,
    number,
)


class EndsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is at either end of the line, and how hard the far end may be driven."""

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
