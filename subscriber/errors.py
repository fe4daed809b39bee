"""Our few exceptions, what each exit code means, and the one table from database failure to treatment."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the process says with its last breath."""

    DRY = 0
    """Stopped as asked: everything held was stored, acknowledged or handed back."""
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
