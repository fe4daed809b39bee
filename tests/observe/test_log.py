"""The log: complete lines without secrets, whatever the values."""

from __future__ import annotations

import io
import logging
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.observe.log import configure, get_logger, writes_json
from tests.fixtures.log import logged, raised


def line_of(**fields: object) -> dict[str, Any]:
    """The line of one event with these fields, without time and level."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["geheim", "geheimnis"], stream=stream)
    get_logger().info("thing.done", **fields)
    (line,) = logged(stream)
    assert (line.pop("level"), line.pop("event")) == ("info", "thing.done")
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == UTC.utcoffset(None)
    return line


def test_line_is_complete_and_in_order() -> None:
    """A line begins with time, level and event, then has the fields as they were given."""
    stream = io.BytesIO()
    configure("info", "json", stream=stream)
    get_logger().warning("batch.stored", rows=1000, seconds=0.25, trigger="full", reason=None)
    (line,) = logged(stream)
    assert list(line) == ["timestamp", "level", "event", "rows", "seconds", "trigger", "reason"]
    assert list(line.values())[1:] == ["warning", "batch.stored", 1000, 0.25, "full", None]


def test_level_filters() -> None:
    """Events below the level are not written."""
    stream = io.BytesIO()
    configure("warning", "json", stream=stream)
    get_logger().info("batch.stored")
    get_logger().error("batch.failed")
    assert [line["event"] for line in logged(stream)] == ["batch.failed"]


def test_second_configuration_reaches_older_loggers() -> None:
    """A logger made and used before `configure` follows the newest one."""
    log, first, second = get_logger(), io.BytesIO(), io.BytesIO()
    for stream in (first, second):
        configure("info", "json", stream=stream)
        log.info("thing.done")
    assert (len(logged(first)), len(logged(second))) == (1, 1)


def test_lone_surrogates_are_shown_escaped() -> None:
    """Text without a UTF-8 form, in names and values, is written with its code visible."""
    assert line_of(key="a\udc80b", nested={"\udcff": ["\ud800"]}) == {
        "key": r"a\udc80b",
        "nested": {r"\udcff": [r"\ud800"]},
    }


class Broken:
    """An object whose repr fails."""

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError("no")


def test_values_unknown_to_json_are_shown_as_text() -> None:
    """A value that JSON does not have becomes text; one without text becomes its type."""
    endless: list[object] = []
    endless.append(endless)
    line = line_of(path=Path("/a"), body=b"\xff", broken=Broken(), keys={(1, 2): {3}}, huge=10**5000, endless=endless)
    assert str(line.pop("endless")).count("[") > 5
    assert line == {
        "path": "/a",
        "body": r"b'\xff'",
        "broken": "<Broken that cannot be shown>",
        "keys": {"(1, 2)": [3]},
        "huge": "<int that cannot be shown>",
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.tuples(st.integers()), inner) | st.sets(st.text()),
)


@settings(max_examples=50)
@given(VALUES, st.text(st.characters()))
def test_any_value_can_be_logged(value: object, text: str) -> None:
    """Any value gives one line of valid JSON in valid UTF-8."""
    assert set(line_of(value=value, text=text)) == {"value", "text"}


def test_exception_is_one_field() -> None:
    """A traceback is one field, not several lines."""
    line = line_of(exc_info=raised(RuntimeError("first\nsecond")))
    assert set(line) == {"exception"}
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("RuntimeError: first\nsecond")


def test_context_is_part_of_every_line() -> None:
    """Values bound to the context of a task appear in its lines."""
    structlog.contextvars.bind_contextvars(queue="events")
    assert line_of() == {"queue": "events"}


def test_libraries_report_into_the_same_log() -> None:
    """Warnings of libraries are logged, less severe events are not."""
    stream = io.BytesIO()
    configure("debug", "json", secrets=["geheim"], stream=stream)
    logging.getLogger("asyncpg.pool").info("idle talk")
    logging.getLogger("asyncpg.pool").warning("no connection for %s", "geheim")
    (line,) = logged(stream)
    assert line.pop("timestamp")
    assert line == {
        "level": "warning",
        "event": "library.reported",
        "library": "asyncpg.pool",
        "message": "no connection for ***",
    }


def test_what_a_library_repeats_is_few_lines_and_one_traceback() -> None:
    """As botocore does with each call while credentials cannot be renewed; another message counts by itself."""
    stream = io.BytesIO()
    configure("info", "json", stream=stream)
    log = logging.getLogger("botocore.credentials")
    for _ in range(10):
        log.warning("Refreshing failed during %s.", "refresh", exc_info=raised(OSError("gone")))
    log.warning("Refreshing failed during %s.", "start", exc_info=raised(OSError("gone")))
    lines = logged(stream)
    assert [line["message"] for line in lines] == [
        *["Refreshing failed during refresh."] * 4,
        "Refreshing failed during start.",
    ]
    assert ["exception" in line for line in lines] == [True, False, False, False, True]


def test_the_memory_for_repetitions_is_bounded() -> None:
    """A library that writes another text each time costs a bounded memory."""
    stream = io.BytesIO()
    configure("info", "json", stream=stream)
    (handler,) = logging.getLogger().handlers
    for number in range(1500):
        logging.getLogger("botocore").warning("request %s", number)
    assert len(handler._times) == 500  # type: ignore[attr-defined]  # ours
    assert len(logged(stream)) == 1500


def test_libraries_cannot_break_the_log() -> None:
    """An unknown level, or arguments that do not fit, still give a line, with the traceback."""
    stream = io.BytesIO()
    configure("info", "json", stream=stream)
    log = logging.getLogger("aiobotocore")
    log.log(35, "odd level")
    log.error("%d of %d", *("one",))
    log.error("failed", exc_info=raised(OSError("gone")))
    odd, misfit, failed = logged(stream)
    assert (odd["level"], odd["message"]) == ("warning", "odd level")
    assert misfit["message"] == "('%d of %d', ('one',))"
    assert failed["exception"].endswith("OSError: gone")


def test_a_closed_reader_only_costs_the_line() -> None:
    """Writing to a closed pipe, or a closed stream, does not raise."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        configure("info", "json", stream=pipe)
        get_logger().info("thing.done")
    get_logger().info("thing.done")


def test_console_format() -> None:
    """Lines are plain text, with secrets redacted and tracebacks on lines of their own."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configure("info", "console", secrets=["geheim"], stream=stream)
        get_logger().error("thing.failed", key="\ud800", exc_info=raised(ValueError("geheim")))
    text = stream.getvalue().decode()
    assert "thing.failed" in text
    assert r"key=\ud800" in text
    assert text.rstrip().endswith("ValueError: ***")


class Terminal(io.BytesIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_format_follows_the_stream() -> None:
    """`auto` writes JSON to a file and plain text to a terminal."""
    file, terminal = io.BytesIO(), Terminal()
    for stream in (file, terminal):
        configure("info", "auto", stream=stream)
        assert writes_json() is (stream is file)
        get_logger().info("thing.done")
    assert file.getvalue().startswith(b"{")
    assert not terminal.getvalue().startswith(b"{")
