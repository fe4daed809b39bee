"""What settings and options share: the values an operator may choose among, and common defaults.

Settings parse these values and the options of each part receive them. Neither package may import the other, so the
values are declared here, once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

AuthMethod: TypeAlias = Literal["password", "iam", "secret"]
"""The source of the database password."""
TlsMode: TypeAlias = Literal["verify-full", "disable"]
Pooler: TypeAlias = Literal["none", "transaction"]
LoadSource: TypeAlias = Literal[
    "auto", "performance_insights", "cloudwatch", "aurora_stat", "active_sessions", "local", "none"
]
"""The source of the database's load; "none": no sensor, "auto": the best one that works."""
TaskProtection: TypeAlias = Literal["busy", "none"]
"""When an ECS task asks for protection from scale-in and deployments."""
Switch: TypeAlias = Literal["true", "false"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]

DATABASE_SCHEMA = "subscriber"
DATABASE_PORT = 5432
WRITE_TIMEOUT_SECONDS = 30.0
BATCH_MAX_ROWS = 1000
CPU_TARGET_PERCENT = 60.0
CPU_MAX_PERCENT = 85.0
LAG_TARGET_SECONDS = 10.0
LAG_MAX_SECONDS = 300.0
SCHEDULED_RANGES = 2
"""Ranges of a scheduled job that a daemon has in work at once: one lists while the other compares. Live traffic needs
the CPU more."""
ENRICH_CONCURRENCY = 16
ENRICH_REQUESTS_PER_SECOND = 100.0
HEAD_PRICE_PER_MILLION = 0.4
"""USD, of GET and all other requests to S3 Standard in us-east-1 (Amazon S3 pricing)."""
LIST_PRICE_PER_MILLION = 5.0
"""USD, of PUT, COPY, POST and LIST requests to S3 Standard in us-east-1 (Amazon S3 pricing)."""
