"""What the text of a variable may be: each kind reads it, and says in words what it takes.

A kind never sees the name of the variable. `read` raises ValueError with what is wrong; who calls it adds the
name, the value unless it is secret, and `expects`. So the error and the printed reference say the same.

From the body of a settings class to what is declared about each setting, and from that to the printed reference.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import msgspec

from subscriber.settings.database_url import DatabaseUrl

PREFIX = "SUBSCRIBER_"
"""What the name of every variable of ours begins with."""


class Kind(msgspec.Struct, frozen=True):
    """One way to read a text."""

    expects: str
    """What it takes, with its range: it completes "it takes …"."""
    read: Callable[[str], Any]
    """From text to value; raises ValueError."""


class Setting(msgspec.Struct, frozen=True):
    """What is declared about one setting, beside its type and its default."""

    kind: Kind
    meaning: str
    """What it does, and the source of its limits: a sentence or two for the operator."""
    unit: str = ""
    default_shown: str = ""
    """Set where the default depends on something else."""
    secret: bool = False
    """Its value is never shown."""


def whole(least: int, most: int, unit: str = "") -> Kind:
    """A whole number from `least` to `most`, both included."""
    named = f"a whole number of {unit}" if unit else "a whole number"
    return Kind(f"{named}, {least} to {most}", lambda text: _number(text, int, least, most))


def number(least: float, most: float, unit: str) -> Kind:
    """A number, fractions allowed, from `least` to `most`, both included."""
    return Kind(f"a number of {unit}, {least:g} to {most:g}", lambda text: _number(text, float, least, most))


def choice(*words: str) -> Kind:
    """One of a few words, in any case."""

    def read(text: str) -> str:
        word = text.lower()
        if word not in words:
            raise ValueError("none of the words it knows")
        return word

    return Kind(f"one of {', '.join(words)}" if len(words) > 1 else f"only {words[0]}, for now", read)


def _number(text: str, kind: type[float], least: float, most: float) -> float:
    try:
        value: float = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError("no such number") from None
    if not math.isfinite(value):
        raise ValueError("no such number")
    if value < least:
        raise ValueError("too small")
    if value > most:
        raise ValueError("too large")
    return value


def _queue_urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    if not urls:
        raise ValueError("no URL")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
            raise ValueError(f"{url!r} is not the URL of a queue")
        if urls.count(url) > 1:
            raise ValueError(f"{url!r} is there twice")
    return urls


def _buckets(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", name):
            raise ValueError(f"{name!r} is not the name of a bucket")
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is there twice")
    if not names:
        raise ValueError("no name")
    return names


def _host(text: str) -> str:
    if ":" in text:
        ipaddress.IPv6Address(text)  # else it is a host with a port, which has a setting of its own
    elif not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ValueError("not a host")
    return text


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("no such file")
    return path


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("not of printable ASCII without spaces")
    if len(text) < TOKEN_AT_LEAST:
        raise ValueError("too short")
    return text


def _instance_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,254}", text):
        raise ValueError("not the name of an instance")
    return text


def _secret(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@:-]{1,2048}", text):
        raise ValueError("not the ARN of a secret")
    if text.startswith("arn:") and not re.fullmatch(r"arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:.+", text):
        raise ValueError("an ARN, but not of a secret")
    return text


def _schema(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text):
        raise ValueError("not a plain schema name")
    if text.startswith("pg_"):
        raise ValueError("reserved by PostgreSQL")
    return text


def _database_url(text: str) -> str:
    DatabaseUrl.parse(text)
    return text


TOKEN_AT_LEAST = 8
"""The least length of a secret that a person chooses (NIST SP 800-63B, 5.1.1.2); a random one is longer anyway."""

QUEUE_URLS = Kind("http(s) URLs of SQS queues, separated by commas: at least one, none twice", _queue_urls)
BUCKETS = Kind("names of buckets, 3 to 255 of a-z, A-Z, 0-9 and . _ -, separated by commas, none twice", _buckets)
DATABASE_URL = Kind(
    "postgresql://user:password@host:port/database, or ?host=/socket/directory; special characters as %xx",
    _database_url,
)
SCHEMA = Kind("a name of a-z, 0-9 and _, at most 63 characters, not starting with a digit or pg_", _schema)
INSTANCE_ID = Kind("an instance's name in RDS, or its resource id (db- and capitals)", _instance_id)
SECRET = Kind("the ARN of a secret in Secrets Manager, or its name", _secret)
FILE = Kind("the path of an existing file", _existing_file)
HOST = Kind("an address or a host name to listen on, without a port", _host)
TOKEN = Kind(f"printable ASCII without spaces, at least {TOKEN_AT_LEAST} characters", _token)


class Declared(msgspec.Struct, frozen=True):
    """One setting as declared: what it takes and means, and what it is when nobody chooses."""

    setting: Setting
    required: bool
    default: Any


class Row(msgspec.Struct, frozen=True):
    """One line of the printed reference."""

    variable: str
    default: str
    unit: str
    takes: str
    meaning: str
    secret: bool


def declared_by(settings: type[msgspec.Struct]) -> Mapping[str, Declared]:
    """What the class body of `settings` declares, by the name of the field, in order."""
    annotations = get_type_hints(settings, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(settings)}
    return {
        name: Declared(
            setting=next(part for part in annotations[name].__metadata__ if isinstance(part, Setting)),
            required=defaults[name] is msgspec.NODEFAULT,
            default=None if defaults[name] is msgspec.NODEFAULT else defaults[name],
        )
        for name in settings.__struct_fields__
    }


def rows_of(declared: Mapping[str, Declared]) -> list[Row]:
    """The reference: one row per setting."""
    return [
        Row(
            variable=PREFIX + name.upper(),
            default="required" if known.required else known.setting.default_shown or str(known.default),
            unit=known.setting.unit,
            takes=known.setting.kind.expects,
            meaning=known.setting.meaning,
            secret=known.setting.secret,
        )
        for name, known in declared.items()
    ]
