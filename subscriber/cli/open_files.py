"""The limit of open files (RLIMIT_NOFILE): raised as far as the process may, or a sentence before anything fails."""

from __future__ import annotations

import resource

from subscriber.errors import ConfigurationError

COMMAND_AT_LEAST = 64
"""For any command: the imports, an event loop, a connection to the database, and to each AWS service that it calls."""
_REMEDY = "raise the limit (ulimit -n, LimitNOFILE= of systemd, ulimits of a container)"


def require_open_files(at_least: int, alternative: str = "") -> None:
    """Make sure that the process may open so many files: connections count, too.

    The soft limit is raised to the hard one, as far as needed; getrlimit(2) allows it to every process.

    Args:
        at_least: that may be open at a time.
        alternative: to raising the limit, for the operator.

    Raises:
        ConfigurationError: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= at_least:
        return
    if hard != resource.RLIM_INFINITY and hard < at_least:
        otherwise = f", or {alternative}" if alternative else ""
        raise ConfigurationError(
            f"this process may open {hard} files and connections, but needs {at_least}: {_REMEDY}{otherwise}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (at_least, hard))
