"""The TLS context of the database connections: it verifies the name in the URL, though we connect to an address."""

from __future__ import annotations

import ssl
from pathlib import Path

from subscriber.errors import ConfigurationError

_ADDRESSES_AT_MOST = 1000
"""Names kept by address; more are forgotten, because a name's addresses change with every failover."""


class Tls:
    """Verifies certificate and host name.

    The driver verifies the host that it connects to. We try the addresses of a name one by one, so the driver knows
    only an address: `expect` says which name its certificate must have.

    Args:
        ca_file: CA certificates as PEM; None: the system's.

    Raises:
        ConfigurationError: the file cannot be read or contains no certificate.
    """

    def __init__(self, ca_file: Path | None) -> None:
        try:
            self.context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            remedy = "SUBSCRIBER_DATABASE_CA_FILE takes certificates as PEM, such as RDS's global-bundle.pem"
            raise ConfigurationError(f"The CA file {ca_file} cannot be used: {error}; {remedy}") from error
        self._names: dict[str, str] = {}
        self._wrap_bio = self.context.wrap_bio
        self.context.wrap_bio = self._wrap_for_name  # type: ignore[method-assign]  # all event loops call it

    def expect(self, address: str, name: str) -> None:
        """From now on a server at `address` must have a certificate for `name`."""
        if len(self._names) >= _ADDRESSES_AT_MOST:
            self._names.clear()
        self._names[address] = name

    def _wrap_for_name(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  -- the signature is that of ssl
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        name = self._names.get(server_hostname, server_hostname) if isinstance(server_hostname, str) else None
        return self._wrap_bio(incoming, outgoing, server_side, name or server_hostname, session)
