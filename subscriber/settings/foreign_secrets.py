"""Secrets that are in the environment for the libraries' use: no setting of ours, but no text for a log either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_VARIABLES: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "PGPASSWORD")

_SECRET_AT_LEAST: Final = 8
"""Characters. A shorter one protects nothing, and to hide it would tear holes into innocent words."""


def foreign_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Texts that no log line may contain. AWS's secret keys have 40 characters, its tokens hundreds."""
    values = (environment.get(name, "") for name in _VARIABLES)
    return tuple(value for value in values if len(value) >= _SECRET_AT_LEAST)
