"""The log: one complete line per event; no value in a line can stop the daemon or reveal a secret.

Lines go to stdout, as JSON unless stdout is a terminal (`format="auto"`). An event is named `noun.past_participle`,
everything else is a field: `log.info("batch.stored", rows=1000)`. What libraries log through the standard `logging`
becomes `library.reported`. `log_events.py` is the catalog of events.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path, PurePath
from typing import BinaryIO, Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from subscriber.choices import LogFormat, LogLevel
from subscriber.observe.lines import Lines

_SECRET_VARIABLES: Final = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "PGPASSWORD",
)

_SECRET_AT_LEAST: Final = 8
"""Characters. A shorter one protects nothing, and redacting it would damage harmless words."""


def external_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Secrets in the environment that libraries use and no setting holds; no log line may contain them.

    AWS's secret keys have 40 characters, its tokens hundreds.
    """
    values = (environment.get(name, "") for name in _SECRET_VARIABLES)
    return tuple(value for value in values if len(value) >= _SECRET_AT_LEAST)


_REDACTED = "***"
_ANYWHERE_AT_LEAST = 4
"""Characters. A shorter password is redacted only where one can stand, in a URL: elsewhere it is a part of words."""
_LEARNED_AT_MOST = 8
"""Passwords learned after the settings that are still redacted: those of the last rotations."""
_MESSAGES_AT_MOST = 1000
"""Of libraries, whose repetitions are counted; then the counts begin anew."""
_DEEPEST = 6
"""Nested containers are kept up to this depth and become text beyond it, which also ends a cycle."""


def configure(
    level: LogLevel,
    format: LogFormat,  # noqa: A002 - the word of LOG_FORMAT
    secrets: Sequence[str] = (),
    stream: BinaryIO | None = None,
) -> None:
    """Configure the log of this process; a second call replaces the first.

    Args:
        level: The minimum severity that is written; for libraries at least WARNING.
        format: `auto` is `console` if the stream is a terminal, else `json`.
        secrets: Texts that are redacted wherever a value contains them.
        stream: Where lines go, if not to stdout.
    """
    _learned.clear()
    stream = stream or bytes_of(sys.stdout)
    lines = Lines(stream, _report_dropped)
    atexit.unregister(_flush)
    atexit.register(_flush, lines)
    as_console = format == "console" or (format == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            _Plain(secrets),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Console(colors=stream.isatty()) if as_console else _as_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lines.logger,
        # Not cached, so that a second call reaches every logger; the cost is nothing at a few lines a second.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Libraries()], level=max(logging.WARNING, _level_number(level)), force=True)


def bytes_of(stream: TextIO | None) -> BinaryIO:
    """The bytes beneath a standard stream; where it is closed, a stream that leads nowhere."""
    return Path(os.devnull).open("wb") if stream is None else stream.buffer


def _flush(lines: Lines) -> None:
    lines.flush()


def _report_dropped(lines: int) -> None:
    get_logger().error("lines.dropped", lines=lines)


def is_configured() -> bool:
    """Whether `configure` was called."""
    return structlog.is_configured()


def writes_json() -> bool:
    """Whether `configure` was called and chose JSON."""
    return structlog.get_config()["processors"][-1] is _as_json


def get_logger() -> FilteringBoundLogger:
    """The logger; it may be obtained before `configure` and follows it."""
    return cast("FilteringBoundLogger", structlog.get_logger())


def redact(secret: str) -> None:
    """Redact `secret` too from now on, which this process has just learned; the last eight of them are kept."""
    if secret in _learned:
        _learned.remove(secret)  # the secret in use is dropped last
    if secret:
        _learned.append(secret)


def name_worker(worker: str) -> None:
    """Add `worker` to every line from now on, in this task and in tasks created later; an empty name adds nothing."""
    if worker:
        structlog.contextvars.bind_contextvars(worker=worker)


_learned: deque[str] = deque(maxlen=_LEARNED_AT_MOST)


def _level_number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class _Plain:
    """A processor that converts an event to JSON values and redacts secrets."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._given = tuple(filter(None, secrets))
        self._redacted: tuple[str, ...] | None = None
        self._forms: list[tuple[str, str]] = []

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        secrets = (*self._given, *_learned)
        if secrets != self._redacted:
            # The longest first: a secret that contains another must not remain in part.
            self._forms = sorted({form for secret in secrets for form in _forms_of(secret)}, key=_length, reverse=True)
            self._redacted = secrets  # after its forms: another thread may be logging
        return {_utf8(name): self._value(value, _DEEPEST) for name, value in event.items()}

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int) and abs(value) < 1 << 64:
            return int(value)
        if depth and isinstance(value, dict):
            return {self._text(_shown(name)): self._value(each, depth - 1) for name, each in value.items()}
        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self._value(each, depth - 1) for each in value]
        return self._text(_shown(value))

    def _text(self, text: str) -> str:
        for form, replacement in self._forms:
            text = text.replace(form, replacement)
        return _utf8(text)


def _forms_of(secret: str) -> set[tuple[str, str]]:
    """How the secret appears, each with its replacement: as it is, and within quotes of a repr or of JSON."""
    if len(secret) < _ANYWHERE_AT_LEAST:
        return {(f":{secret}@", f":{_REDACTED}@")}
    quoted = {repr(secret)[1:-1], repr('"' + secret)[2:-1], json.dumps(secret)[1:-1]}
    return {(form, _REDACTED) for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1], *quoted)}


def _length(form: tuple[str, str]) -> int:
    return len(form[0])


def _utf8(text: str) -> str:
    # A lone surrogate, as in a key that was never UTF-8, has no UTF-8 form: \udc80 shows which one it was.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: object) -> str:
    if isinstance(value, str | PurePath | date):
        return str(value)
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not break the log
        return f"<{type(value).__name__} that cannot be shown>"


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return msgspec.json.encode({**first, **event})


class _Console:
    """A processor that formats an event for a terminal."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return self._render(logger, method, event).encode()


class _Libraries(logging.Handler):
    """Forwards what libraries log to our own log, as one event with their text in a field.

    Of the repetitions of a message only the 2nd, 4th, 8th … are forwarded, and no traceback: botocore logs one at each
    call while credentials cannot be renewed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._times: Counter[tuple[str, str]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a message that cannot be formatted is logged unformatted."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - formatting a library's arguments may raise anything
            message = _shown((record.msg, record.args))
        times = self._count(record.name, message)
        if times & (times - 1):
            return
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)  # structlog knows these
        traceback = record.exc_info if times == 1 else None
        get_logger().log(level, "library.reported", library=record.name, message=message, exc_info=traceback)

    def _count(self, library: str, message: str) -> int:
        """How often the library has logged the message, this time included."""
        if len(self._times) >= _MESSAGES_AT_MOST:
            self._times.clear()
        self._times[library, message] += 1
        return self._times[library, message]
