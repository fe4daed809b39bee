"""The settings and the log of this process, for every command that works on queues or the database."""

from __future__ import annotations

import os
from typing import BinaryIO, get_args

from subscriber.choices import LogFormat, LogLevel
from subscriber.errors import ConfigurationError, SubscriberError
from subscriber.observe.log import configure, external_secrets, get_logger, writes_json
from subscriber.settings.table import Settings


def read_settings(
    *, level: LogLevel | None = None, stream: BinaryIO | None = None, needs_queues: bool = True
) -> Settings:
    """Read the settings and configure the log by them.

    Args:
        level: The log level, if not that of SUBSCRIBER_LOG_LEVEL.
        stream: Where log lines go, if not to stdout. A command that prints its result on stdout logs to stderr.
        needs_queues: Whether SUBSCRIBER_QUEUE_URLS is required.

    Raises:
        ConfigurationError: settings that cannot work, one line for each mistake.
    """
    others = external_secrets(os.environ)
    try:
        settings = Settings.from_environment(os.environ, needs_queues=needs_queues)
    except ConfigurationError:
        configure(level or "error", _format_in_environment(), others, stream)
        raise
    configure(level or settings.log_level, settings.log_format, (*settings.secrets, *others), stream)
    return settings


def log_failure(error: Exception) -> None:
    """Log the end of the daemon by an error that an operator can fix.

    Only as JSON, for alarms: a person at a terminal reads the sentence on stderr. Any other error is logged as
    `daemon.failed`.
    """
    if isinstance(error, SubscriberError) and writes_json():
        code = error.exit_code
        get_logger().error("daemon.ended", exit_code=int(code), meaning=code.name.lower(), detail=str(error))


def _format_in_environment() -> LogFormat:
    """The format of the log where other settings are unreadable."""
    given = os.environ.get("SUBSCRIBER_LOG_FORMAT", "").strip().lower()
    formats: tuple[LogFormat, ...] = get_args(LogFormat)
    return next((each for each in formats if each == given), "auto")
