"""User and password of a connection, and the interface of their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Login(msgspec.Struct, frozen=True):
    """User and password for one new connection."""

    password: str
    user: str | None = None
    """None: the user in the database URL."""

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, …)"  # a repr ends up in tracebacks and logs


class LoginSource(Protocol):
    """Supplies a login for every new connection, so that a rotated secret or a short-lived token is always fresh."""

    async def login(self, rejected: Sequence[Login]) -> Login | None:
        """The login to try after the server has rejected `rejected`; None: there is no other.

        Raises:
            StoreError: no login could be fetched; the treatment says whether a retry may help.
        """
        ...
