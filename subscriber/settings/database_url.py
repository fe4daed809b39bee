"""A libpq connection URL, parsed as far as settings need it: hosts, user, port, whether it is local, its secrets.

The driver connects with the original text. This module rejects what the driver would understand differently than its
author meant.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import msgspec

from subscriber.choices import DATABASE_PORT

_SECRET_PARAMETERS = frozenset({"password", "sslpassword"})


class DatabaseUrl(msgspec.Struct, frozen=True):
    """The parts of a connection URL that decisions depend on."""

    hosts: tuple[str, ...]
    """Names, addresses, or socket directories (they begin with a slash)."""
    secrets: tuple[str, ...]
    """Every form in which the password could appear in a text, the longest first."""
    shown: str
    """The URL with its passwords replaced by asterisks."""
    tls_parameters: tuple[tuple[str, str], ...]
    """TLS parameters of the URL: sslmode, sslrootcert and the like."""
    user: str = ""
    """Empty if the URL names none."""
    ports: tuple[int | None, ...] = ()
    """Of each host; None: the URL names none."""
    database: str = ""
    """Empty if the URL names none."""
    password_file: str = ""
    """The parameter passfile."""

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """Parse a URL; a ValueError states the problem without repeating any part of the text."""
        login = text.partition("://")[2].rpartition("@")[0]
        if text.count("@") == 1 and ("[" in login or "]" in login):
            raise ValueError("in a user or password write [ ] as %5B %5D")
        try:
            parts = urlsplit(text)
        except ValueError:  # its message may repeat the password
            raise ValueError("its host is malformed") from None
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("the scheme is neither postgresql nor postgres")
        if text.count("@") > 1 or text.count("@") > parts.netloc.count("@") or "#" in text:
            raise ValueError("in a user, password or database name write @ # / ? as %40 %23 %2F %3F")
        try:
            parameters = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
        except ValueError:
            raise ValueError("the part after ? is not a list of name=value") from None
        login, _, host_list = parts.netloc.rpartition("@")
        # The authority part overrides the parameter, as in the driver.
        host_list = host_list or dict(parameters).get("host", "")
        hosts = _hosts(host_list)
        return cls(
            hosts=hosts,
            secrets=_secrets(text, login, parts.query),
            shown=_shown(text, login, parts.query),
            tls_parameters=tuple((name, value) for name, value in parameters if name.startswith("ssl")),
            user=unquote(login.partition(":")[0]) or dict(parameters).get("user", ""),
            ports=_ports(host_list, dict(parameters).get("port", "")),
            database=unquote(parts.path.lstrip("/")) or dict(parameters).get("dbname", ""),
            password_file=dict(parameters).get("passfile", ""),
        )

    @property
    def has_password(self) -> bool:
        """Whether the URL contains a password."""
        return bool(self.secrets)

    @property
    def address(self) -> str:
        """Where the database is, for a sentence: `host:port`, a socket directory, or several hosts."""
        first = self.hosts[0]
        if len(self.hosts) > 1 or first.startswith("/"):
            return ", ".join(self.hosts)
        return f"[{first}]:{self.port}" if ":" in first else f"{first}:{self.port}"

    @property
    def port(self) -> int:
        """Of the first host."""
        return self.ports[0] or DATABASE_PORT

    @property
    def is_local(self) -> bool:
        """Whether no traffic to this database leaves the machine: every host is a socket or loopback."""
        return all(_is_local(host) for host in self.hosts)


def _hosts(host_list: str) -> tuple[str, ...]:
    hosts = tuple(_host(unquote(entry)) for entry in host_list.split(",") if entry)
    if not hosts or not all(hosts):
        raise ValueError("it names no host")
    return hosts


def _host(entry: str) -> str:
    """The host of `host`, `host:port`, `[v6]:port` or a socket directory, which may hold colons."""
    if entry.startswith("/"):
        return entry
    if entry.startswith("["):
        host, closed, after = entry[1:].partition("]")
        port = after.removeprefix(":")
        if not closed:
            raise ValueError("its host has an unclosed bracket")
    else:
        host, _, port = entry.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError("its port is not a number from 1 to 65535")
    return host


def _ports(host_list: str, port_parameter: str) -> tuple[int | None, ...]:
    """The port of each host: its own, else the parameter's; another check reports an invalid one."""
    entries = [unquote(entry) for entry in host_list.split(",") if entry]
    others = port_parameter.split(",")
    if len(others) != len(entries):
        others = others[:1] * len(entries)
    return tuple(_port(entry) or _number(other) for entry, other in zip(entries, others, strict=True))


def _port(entry: str) -> int | None:
    given = "" if entry.startswith("/") else entry.rpartition("]")[2].rpartition(":")[2] if ":" in entry else ""
    return _number(given)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _is_local(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _raw_passwords(login: str, query: str) -> list[str]:
    from_query = [
        value
        for name, _, value in (pair.partition("=") for pair in query.split("&"))
        if unquote(name) in _SECRET_PARAMETERS
    ]
    return [password for password in (login.partition(":")[2], *from_query) if password]


def _secrets(text: str, login: str, query: str) -> tuple[str, ...]:
    raw = _raw_passwords(login, query)
    forms = {form for password in raw for form in (text, password, unquote(password), unquote_plus(password))}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _shown(text: str, login: str, query: str) -> str:
    user, _, password = login.partition(":")
    if password:
        text = text.replace(f"//{login}@", f"//{user}:***@", 1)
    pairs = (pair.partition("=") for pair in query.split("&"))
    redacted = "&".join(f"{n}={'***' if unquote(n) in _SECRET_PARAMETERS else v}" for n, _, v in pairs)
    return text.replace(f"?{query}", f"?{redacted}", 1) if query else text
