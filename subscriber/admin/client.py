"""Sends one request to the control page of a running daemon, and renders the answer as text for an operator."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import msgspec

from subscriber.control.status import ControlStatus, DecisionNote, QueueStatus
from subscriber.errors import ConfigurationError, DaemonError

TIMEOUT_SECONDS = 10.0
RESPONSE_BYTES_AT_MOST = 1 << 20
"""Fifty decisions are far less; a longer answer is not from a subscriber."""

DECISIONS_SHOWN = 5

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 – the daemon listens there, not this client
"""A daemon that listens on every address is reached on this machine's loopback address."""


class _Rejected(msgspec.Struct):
    error: str


def address_of(host: str, port: int) -> str:
    """The URL of the control page of a daemon with these settings.

    Raises:
        ConfigurationError: the port is 0, so the daemon chose one.
    """
    if port == 0:
        raise ConfigurationError(
            "SUBSCRIBER_HTTP_PORT is 0, so the daemon took a free port: set the variable to the port in its log line "
            "http.listening"
        )
    near = _EVERY_ADDRESS.get(host, host)
    return f"http://{f'[{near}]' if ':' in near else near}:{port}/control"


def ask(address: str, token: str | None, command: Mapping[str, object] | None = None) -> ControlStatus:
    """Send `command`, or with None only read; the state afterwards.

    Raises:
        ConfigurationError: there is no token, or the daemon rejects the command; the text is the reason.
        DaemonError: no daemon answers, or its pipeline is not running.
    """
    if command is not None and token is None:
        raise ConfigurationError("SUBSCRIBER_CONTROL_TOKEN is not set here; a command needs the daemon's")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = None if command is None else msgspec.json.encode(command)
    request = urllib.request.Request(address, data=body, headers=headers)  # noqa: S310 - http, as address_of made it
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a proxy cannot reach this machine's loopback
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return msgspec.json.decode(answer.read(RESPONSE_BYTES_AT_MOST), type=ControlStatus)
    except urllib.error.HTTPError as error:
        with error:
            raise _rejection(address, error) from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DaemonError(
            f"no daemon answers at {address} ({reason}): is it running, and are SUBSCRIBER_HTTP_HOST and "
            "SUBSCRIBER_HTTP_PORT those it was started with?"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DaemonError(f"what answers at {address} is not a subscriber of this release") from None


def _rejection(address: str, error: urllib.error.HTTPError) -> ConfigurationError | DaemonError:
    try:
        text = msgspec.json.decode(error.read(RESPONSE_BYTES_AT_MOST), type=_Rejected).error
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, http.client.HTTPException):
        return DaemonError(f"what answers at {address} is not a subscriber of this release (HTTP {error.code})")
    match error.code:
        case 401:
            return ConfigurationError("SUBSCRIBER_CONTROL_TOKEN is not the daemon's")
        case 403:
            return ConfigurationError("SUBSCRIBER_CONTROL_TOKEN is not set at the daemon, so it accepts no command")
        case code if code >= 500:
            return DaemonError(text)
    return ConfigurationError(f"the daemon rejects it: {text}")


def mode_text(status: ControlStatus) -> str:
    """The mode and the limit in one line: the result of a command."""
    fixed = f"fixed at {status.fixed_limit:g}" if status.fixed_limit is not None else ""
    match status.mode:
        case "paused":
            then = fixed or f"governed, from {status.limit:.3g}"
            coming = f", up to {status.reserved_messages} to come" if status.reserved_messages else ""
            return f"paused, {status.held_messages} messages held{coming}; after resume: {then}"
        case "fixed":
            return f"{fixed}, until auto"
        case "auto":
            return f"governed, now {status.limit:.3g}, from {status.limit_at_least:g} to {status.limit_at_most:g}"


def status_text(status: ControlStatus) -> str:
    """The state in lines, each a heading and its text."""
    lines = [("control", mode_text(status)), *_reading_lines(status), *map(_queue_line, status.queues)]
    lines += [("ALARM", f"{a.queue}: {a.reason} for {a.lasts_seconds:.0f} s; {a.advice}") for a in status.alarms]
    lines += [("decision", _decision_text(note)) for note in status.decisions[:DECISIONS_SHOWN]]
    return "\n".join(f"{heading:<10}{text}" for heading, text in lines)


def _reading_lines(status: ControlStatus) -> Iterator[tuple[str, str]]:
    reading, sensor = status.reading, status.sensor
    if reading is None:
        yield "pipeline", "no reading yet"
        return
    unavailable = "" if status.database_available else "; DATABASE UNAVAILABLE"
    took = "none" if reading.statement_seconds is None else f"{reading.statement_seconds:.3g} s each"
    yield "pipeline", f"{reading.lag_seconds:.3g} s late, {status.held_messages} messages held{unavailable}"
    rate = f"{reading.concurrency_used:.3g} at a time, {reading.rows_per_second:.0f} rows/s"
    reached = ", limit reached" if reading.limit_reached else ""
    yield "writes", f"{rate}, statements {took}, {reading.failures} failed{reached}"
    problem = f"; {sensor.problem}" if sensor.problem else ""
    if reading.load is None:
        yield "database", f"load not read (source {sensor.source}){problem}"
    else:
        stale = ", STALE" if sensor.is_stale else ""
        age = f"{reading.load_age_seconds:.0f} s old{stale}"
        yield "database", f"{reading.load.cpu_percent:.0f} % CPU by {sensor.source}, {age}{problem}"


def _queue_line(queue: QueueStatus) -> tuple[str, str]:
    if queue.age_seconds is None:
        return "queue", f"{queue.name}: counts unknown"
    counts = f"{queue.visible_messages} waiting, {queue.in_flight_messages} in flight"
    return "queue", f"{queue.name}: {counts}, {queue.age_seconds:.0f} s ago"


def _decision_text(note: DecisionNote) -> str:
    times = f" ({note.times} times)" if note.times > 1 else ""
    moved = "stays" if note.limit == note.was else f"from {note.was:.3g}"
    return f"{note.ended_at:%H:%M:%S} UTC  {note.limit:.3g}, {moved}: {note.reason}{times}"
