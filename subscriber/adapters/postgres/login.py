"""Who we say we are to the database: what a connection needs of whoever knows user and password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Login(msgspec.Struct, frozen=True):
    """What one new connection introduces itself with."""

    password: str
    user: str | None = None
    """None: the user whom the database's URL names."""

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, …)"  # a repr ends up in tracebacks and logs


class LoginSource(Protocol):
    """Asked for every new connection, so that a rotated secret or a token of fifteen minutes is always fresh."""

    async def login(self, refused: Sequence[Login]) -> Login | None:
        """The login to try next, after the server has refused these; None: there is no other.

        Raises:
            StoreError: it cannot be found out; the treatment tells waiting from despair.
        """
        ...
