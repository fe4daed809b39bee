"""Lines of the log on real pipes: a reader that stops delays nobody, and what is dropped is counted."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from subscriber.observe.lines import Lines
from subscriber.observe.log import configure, get_logger, name_worker


class Pipe:
    """A pipe whose reader reads only when it is told to."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "wb", buffering=0)
        self.dropped: list[int] = []

    def fill(self) -> int:
        """Fill it, so that it takes nothing more; how many bytes that took."""
        os.set_blocking(self.stream.fileno(), False)
        filled = 0
        while written := self.stream.write(b"x" * 4096):
            filled += written
        os.set_blocking(self.stream.fileno(), True)
        return filled

    def read(self, size: int) -> bytes:
        """So many bytes, waiting for each."""
        parts = b""
        while len(parts) < size:
            parts += os.read(self._reading, size - len(parts))
        return parts

    def read_some(self) -> bytes:
        """What there is, waiting for it."""
        return os.read(self._reading, 1 << 16)

    def close(self) -> None:
        """Close both ends."""
        self.stream.close()
        os.close(self._reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe."""
    made = Pipe()
    yield made
    made.close()


def test_a_line_is_written_at_once_if_the_reader_keeps_up(pipe: Pipe) -> None:
    """No thread and no delay: when the call returns, the line is in the pipe."""
    Lines(pipe.stream, pipe.dropped.append).msg(b"one")
    assert (pipe.read(4), threading.active_count()) == (b"one\n", 1)


def test_a_reader_that_stops_delays_nobody_and_gets_every_line(pipe: Pipe) -> None:
    """Lines wait for it in order, and the thread that writes them ends."""
    lines = Lines(pipe.stream, pipe.dropped.append)
    filled = pipe.fill()
    for number in range(100):
        lines.msg(b"%03d" % number)
    pipe.read(filled)
    assert pipe.read(400) == b"".join(b"%03d\n" % number for number in range(100))
    lines.flush(10)
    assert (pipe.dropped, threading.active_count()) == ([], 1)
    lines.msg(b"next")
    assert pipe.read(5) == b"next\n"


def test_a_line_longer_than_a_pipe_delays_nobody(pipe: Pipe) -> None:
    """A traceback may be longer than what a pipe takes at once."""
    lines = Lines(pipe.stream, pipe.dropped.append)
    long = b"x" * (1 << 18)
    lines.msg(long)
    lines.msg(b"next")
    assert pipe.read(len(long) + 6) == long + b"\nnext\n"


def test_what_does_not_fit_is_counted_and_reported(pipe: Pipe) -> None:
    """The buffer has a bound in bytes; the number of dropped lines is reported once the reader goes on."""
    reported = threading.Event()

    def report(lines: int) -> None:
        pipe.dropped.append(lines)
        reported.set()

    lines = Lines(pipe.stream, report, buffer_bytes=40)
    filled = pipe.fill()
    for number in range(100):
        lines.msg(b"%03d" % number)
    assert not reported.is_set()
    pipe.read(filled)
    assert reported.wait(10)
    assert pipe.read(40) == b"".join(b"%03d\n" % number for number in range(10))
    assert pipe.dropped == [90]


def test_the_report_is_a_line_of_the_log(pipe: Pipe) -> None:
    """It names the number and the worker, and comes at every level."""
    configure("error", "json", stream=pipe.stream)
    name_worker("task-1")
    filled = pipe.fill()
    for _ in range(6000):
        get_logger().error("thing.failed", detail="x" * 1000)
    pipe.read(filled)
    read: list[dict[str, Any]] = []
    rest, missing = b"", 6001
    while missing:
        *whole, rest = (rest + pipe.read_some()).split(b"\n")
        read += map(json.loads, whole)
        missing = 6001 - len(read) - sum(line.get("lines", 0) for line in read)
    (report,) = (line for line in read if line["event"] == "lines.dropped")
    assert (report["level"], report["worker"]) == ("error", "task-1")
    assert report["lines"] > 4000


def test_the_end_waits_for_a_stopped_reader_only_so_long(pipe: Pipe) -> None:
    """`flush` returns after its time, with the lines still waiting."""
    lines = Lines(pipe.stream, pipe.dropped.append)
    filled = pipe.fill()
    lines.msg(b"last")
    lines.flush(0.05)
    pipe.read(filled)
    lines.flush(10)
    assert pipe.read(5) == b"last\n"


def test_a_closed_stream_only_costs_the_line() -> None:
    """Whether it was a pipe whose reader is gone, or a stream that is closed."""
    gone, memory = Pipe(), io.BytesIO()
    os.close(gone._reading)
    memory.close()
    for stream in (gone.stream, memory):
        lines = Lines(stream, gone.dropped.append)
        lines.msg(b"lost")
        lines.msg(b"x" * 10_000)
        lines.flush(10)
    gone.stream.close()
    Lines(gone.stream, gone.dropped.append).msg(b"lost")
    assert gone.dropped == []
