"""Parsers of the settings' values, and what a settings class declares.

A `Kind` parses one text and describes what it accepts. It never sees the name of the variable: `read` raises ValueError
with the problem, and the loader adds the name, the value unless it is secret, and `expects`. The error and the
printed reference therefore say the same.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from subscriber.queue_url import SUFFIX_OF_PARTITION
from subscriber.settings.database_url import DatabaseUrl

PREFIX = "SUBSCRIBER_"
"""The prefix of every environment variable that is a setting."""


class Kind(msgspec.Struct, frozen=True):
    """One way to parse a text."""

    expects: str
    """What it accepts, with its range: it completes "it takes …"."""
    read: Callable[[str], Any]
    """From text to value; raises ValueError."""
    most: float | None = None
    """The largest number it accepts; None if it parses no number."""


class Setting(msgspec.Struct, frozen=True):
    """What is declared about one setting, beside its type and its default."""

    kind: Kind
    meaning: str
    """What it does, and the source of its limits: one or two sentences for the operator."""
    unit: str = ""
    default_shown: str = ""
    """The default in words, if it depends on something else; of a required setting, the commands that require it."""
    is_secret: bool = False
    """Its value is never printed or logged."""
    group: str = ""
    """Heading of the group that begins with this setting; empty: it belongs to the group of the setting before."""


def whole(least: int, most: int, unit: str = "") -> Kind:
    """A whole number from `least` to `most`, both included."""
    named = f"a whole number of {unit}" if unit else "a whole number"
    return Kind(f"{named}, {least} to {most}", lambda text: _number(text, int, least, most), most)


def number(least: float, most: float, unit: str) -> Kind:
    """A number, fractions allowed, from `least` to `most`, both included."""
    return Kind(f"a number of {unit}, {least:g} to {most:g}", lambda text: _number(text, float, least, most), most)


def choice(literal: Any) -> Kind:
    """One of the words of a `Literal`, in any case."""
    words = get_args(literal)

    def read(text: str) -> str:
        word = text.lower()
        if word not in words:
            raise ValueError("not one of its values")
        return word

    return Kind(f"one of {', '.join(words)}", read)


def _number(text: str, kind: type[float], least: float, most: float) -> float:
    try:
        value: float = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError("not a valid number") from None
    if not math.isfinite(value):
        raise ValueError("not a valid number")
    if value < least:
        raise ValueError("too small")
    if value > most:
        raise ValueError("too large")
    return value


def _queue_urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    if not urls:
        raise ValueError("it names no queue")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
            raise ValueError(f"{url!r} is not the URL of a queue{_queue_url_hint(url)}")
        if urls.count(url) > 1:
            raise ValueError(f"{url!r} is listed twice")
    return urls


def _queue_url_hint(text: str) -> str:
    """What to write instead of a queue's ARN or name; empty for any other text.

    Source: SQS developer guide, "Queue and message identifiers"; endpoints end with the partition's domain.
    """
    arn = re.fullmatch(r"arn:(aws[a-z-]*):sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]{1,80})", text)
    if arn and arn[1] in SUFFIX_OF_PARTITION:
        partition, region, account, name = arn.groups()
        return f" but its ARN: write https://sqs.{region}.{SUFFIX_OF_PARTITION[partition]}/{account}/{name}"
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}(\.fifo)?", text):
        return f" but a name: write https://sqs.REGION.amazonaws.com/ACCOUNT/{text}"
    return ""


def _buckets(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", name):
            raise ValueError(f"{name!r} is not the name of a bucket")
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice")
    if not names:
        raise ValueError("it names no bucket")
    return names


def _host(text: str) -> str:
    if text.startswith("["):
        raise ValueError("an address in brackets; write it without them")
    if text.count(":") == 1:
        raise ValueError("a host with a port; the port has a setting of its own")
    if ":" in text:
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            raise ValueError("not an IPv6 address") from None
    elif len(text) > 253 or not re.fullmatch(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", text):
        raise ValueError("not a host name or address")
    return text


def _existing_file(text: str) -> Path:
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long
        raise ValueError(error.strerror or "no such file") from None
    if not is_file:
        raise ValueError("no such file")
    return path


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("it contains a space or a character that is not printable ASCII")
    if len(text) < TOKEN_AT_LEAST:
        raise ValueError("too short")
    return text


def _instance_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,254}", text):
        raise ValueError("not an instance name")
    return text


def _secret(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@:-]{1,2048}", text):
        raise ValueError("not the ARN or name of a secret")
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
"""Minimum length of a secret that a person chooses (NIST SP 800-63B, 5.1.1.2); a random one is longer anyway."""

QUEUE_URLS = Kind("http(s) URLs of SQS queues, separated by commas: at least one, none twice", _queue_urls)
BUCKETS = Kind("bucket names, 3 to 255 of a-z, A-Z, 0-9 and . _ -, separated by commas, none twice", _buckets)
DATABASE_URL = Kind(
    "postgresql://user:password@host:port/database, or ?host=/socket/directory; special characters as %xx",
    _database_url,
)
SCHEMA = Kind("a name of a-z, 0-9 and _, at most 63 characters, not starting with a digit or pg_", _schema)
INSTANCE_ID = Kind("the name of an RDS instance, or its resource id (db- and capitals)", _instance_id)
SECRET = Kind("the ARN or the name of a secret in Secrets Manager", _secret)
FILE = Kind("the path of an existing file", _existing_file)
HOST = Kind("an address or a host name to listen on, without a port", _host)
TOKEN = Kind(f"printable ASCII without spaces, at least {TOKEN_AT_LEAST} characters", _token)


class Declared(msgspec.Struct, frozen=True):
    """One setting as declared: what it accepts, what it means, and its default."""

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
    group: str


def declared_by(settings: type[msgspec.Struct]) -> Mapping[str, Declared]:
    """What the class body of `settings` declares, by field name, in order; what it inherits comes last."""
    annotations = get_type_hints(settings, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(settings)}
    own = [name for name in settings.__annotations__ if name in defaults]
    return {
        name: Declared(
            setting=next(part for part in annotations[name].__metadata__ if isinstance(part, Setting)),
            required=defaults[name] is msgspec.NODEFAULT,
            default=None if defaults[name] is msgspec.NODEFAULT else defaults[name],
        )
        for name in dict.fromkeys([*own, *settings.__struct_fields__])
    }


def rows_of(declared: Mapping[str, Declared]) -> list[Row]:
    """The reference: one row per setting."""
    rows: list[Row] = []
    for name, known in declared.items():
        setting = known.setting
        row = Row(
            variable=PREFIX + name.upper(),
            default=_default_shown(known),
            unit=setting.unit,
            takes=setting.kind.expects,
            meaning=setting.meaning,
            secret=setting.is_secret,
            group=setting.group or rows[-1].group,
        )
        rows.append(row)
    return rows


def _default_shown(known: Declared) -> str:
    if known.required:
        return known.setting.default_shown or "required"
    number = f"{known.default:g}" if isinstance(known.default, float) else str(known.default)
    return known.setting.default_shown or number
