"""One request to the control page of a running daemon, and its answer as text for a person."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import msgspec

from subscriber.control.status import ControlStatus, DecisionNote, QueueStatus
from subscriber.errors import ConfigurationError, DaemonError

TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_AT_MOST = 1 << 20
"""Fifty decisions are far less; what sends more is no daemon of ours."""

DECISIONS_SHOWN = 5

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do
"""A daemon that listens on every address is spoken to on this machine's own."""


class _Refused(msgspec.Struct):
    error: str


def address_of(host: str, port: int) -> str:
    """The URL of the control page of a daemon with these settings.

    Raises:
        ConfigurationError: port 0, which says that the daemon took any.
    """
    if port == 0:
        raise ConfigurationError(
            "SUBSCRIBER_HTTP_PORT is 0, so the daemon took a free port: set the variable to the port that its log line "
            "http.listening names"
        )
    near = _EVERY_ADDRESS.get(host, host)
    return f"http://{f'[{near}]' if ':' in near else near}:{port}/control"


def ask(address: str, token: str | None, command: Mapping[str, object] | None = None) -> ControlStatus:
    """Have `command` done, or with None just look; the state afterwards.

    Raises:
        ConfigurationError: the daemon refuses; its own words.
        DaemonError: there is none, or it is not at work.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = None if command is None else msgspec.json.encode(command)
    request = urllib.request.Request(address, data=body, headers=headers)  # noqa: S310 - http, as address_of made it
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would not find this machine
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return msgspec.json.decode(answer.read(ANSWER_BYTES_AT_MOST), type=ControlStatus)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(address, error) from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DaemonError(
            f"no daemon answers at {address} ({reason}): is it running, and are SUBSCRIBER_HTTP_HOST and "
            "SUBSCRIBER_HTTP_PORT those it was started with?"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DaemonError(f"what answers at {address} is no subscriber of this release") from None


def _refusal(address: str, error: urllib.error.HTTPError) -> ConfigurationError | DaemonError:
    try:
        text = msgspec.json.decode(error.read(ANSWER_BYTES_AT_MOST), type=_Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, http.client.HTTPException):
        return DaemonError(f"what answers at {address} is no subscriber of this release (HTTP {error.code})")
    return DaemonError(text) if error.code >= 500 else ConfigurationError(f"the daemon refuses: {text}")


def mode_text(status: ControlStatus) -> str:
    """The mode and the limit in one line: what a command has led to."""
    fixed = f"fixed at {status.fixed_limit:g}" if status.fixed_limit is not None else ""
    match status.mode:
        case "paused":
            then = fixed or f"governed, from {status.limit:.3g}"
            return f"paused, {status.held_messages} messages kept; once resumed: {then}"
        case "fixed":
            return f"{fixed}, until auto"
        case "auto":
            return f"governed, now {status.limit:.3g}, from {status.limit_at_least:g} to {status.limit_at_most:g}"


def status_text(status: ControlStatus) -> str:
    """The state as lines, a word and what there is to say about it."""
    told = [("control", mode_text(status)), *_reading_lines(status), *map(_queue_line, status.queues)]
    told += [("ALARM", f"{a.queue}: {a.reason} for {a.lasts_seconds:.0f} s; {a.advice}") for a in status.alarms]
    told += [("decision", _decision_text(note)) for note in status.decisions[:DECISIONS_SHOWN]]
    return "\n".join(f"{word:<10}{text}" for word, text in told)


def _reading_lines(status: ControlStatus) -> Iterator[tuple[str, str]]:
    reading, sensor = status.reading, status.sensor
    if reading is None:
        yield "line", "no reading yet"
        return
    away = "" if status.database_available else "; THE DATABASE IS AWAY"
    took = "none" if reading.statement_seconds is None else f"{reading.statement_seconds:.3g} s each"
    yield "line", f"{reading.lag_seconds:.3g} s late, {status.held_messages} messages inside{away}"
    rate = f"{reading.concurrency_used:.3g} at work, {reading.rows_per_second:.0f} rows/s"
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
        return "queue", f"{queue.name}: says nothing of itself"
    counts = f"{queue.visible_messages} waiting, {queue.in_flight_messages} in flight"
    return "queue", f"{queue.name}: {counts}, {queue.age_seconds:.0f} s ago"


def _decision_text(note: DecisionNote) -> str:
    times = f" ({note.times} times)" if note.times > 1 else ""
    moved = "stays" if note.limit == note.was else f"from {note.was:.3g}"
    return f"{note.ended_at:%H:%M:%S} UTC  {note.limit:.3g}, {moved}: {note.reason}{times}"
