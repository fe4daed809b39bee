"""The settings of this process, read by every command that works on queues or the database."""

from __future__ import annotations

import os
from typing import BinaryIO

from subscriber.choices import LogLevel
from subscriber.observe.log import configure, external_secrets
from subscriber.settings.table import Settings


def read_settings(*, level: LogLevel | None = None, stream: BinaryIO | None = None) -> Settings:
    """Read the settings and configure the log by them.

    Args:
        level: The log level, if not that of SUBSCRIBER_LOG_LEVEL.
        stream: Where log lines go, if not to stdout. A command that prints its result on stdout logs to stderr.

    Raises:
        ConfigurationError: settings that cannot work, one line for each mistake.
    """
    settings = Settings.from_environment(os.environ)
    secrets = (*settings.secrets, *external_secrets(os.environ))
    configure(level or settings.log_level, settings.log_format, secrets, stream)
    return settings
