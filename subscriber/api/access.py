"""Who may ask: bearer tokens (RFC 6750) from a file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from subscriber.errors import ConfigurationError

SHORTEST_TOKEN: Final = 16
"""Characters; shorter ones can be guessed."""


def tokens_in(path: Path) -> list[str]:
    """The tokens of a file, one a line; an empty line and one that begins with # is skipped.

    Raises:
        ConfigurationError: the file cannot be read, has no token, or one that is too short or not printable ASCII.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the tokens cannot be read from {path}: {error}") from None
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise ConfigurationError(f"{path} has no token: write one a line")
    if any(len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token for token in found):
        raise ConfigurationError(
            f"{path} has a token that is no token: {SHORTEST_TOKEN} printable characters at least, without spaces"
        )
    return found


def require_access(host: str, path: Path | None, *, without_token: bool) -> list[str]:
    """The tokens that are accepted; none: everybody on this machine may ask.

    Raises:
        ConfigurationError: everybody on the network could ask.
    """
    if path is not None and without_token:
        raise ConfigurationError("give --tokens or --without-token, not both")
    if path is not None:
        return tokens_in(path)
    if without_token and is_loopback(host):
        return []
    if without_token:
        raise ConfigurationError(f"--without-token is for the loopback address, and {host} is none: give --tokens FILE")
    raise ConfigurationError("give --tokens FILE, or --without-token on the loopback address")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name is not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def guard_of(tokens: Sequence[str]) -> Guard:
    """A guard that lets requests with one of the tokens pass; without tokens every request.

    Digests are compared, each with all, so that the time tells neither length nor place of a token.
    """
    accepted = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def guard(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]  # as Litestar's Guard
        scheme, _space, token = connection.headers.get("authorization", "").partition(" ")
        asked = hashlib.sha256(token.strip().encode()).digest()
        matches = [hmac.compare_digest(asked, each) for each in accepted]
        if tokens and not (scheme.lower() == "bearer" and any(matches)):
            raise NotAuthorizedException(
                "send one of the server's tokens: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )

    return guard
