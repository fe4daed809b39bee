"""Writes whole lines to a stream, and never waits for its reader.

A pipe that nobody reads is full after 64 KiB, and a write to it waits. So a line is written at once only if the stream
takes it now. Otherwise lines wait in a bounded buffer, which a thread writes out; lines that find it full are counted.
"""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from io import UnsupportedOperation
from os import write
from typing import BinaryIO

BUFFER_BYTES = 1 << 20
"""Lines that wait for the reader: minutes of a busy daemon."""

FLUSH_SECONDS = 2.0
"""How long the end of the process waits for the reader: a stopped reader must not delay it."""

_AT_ONCE_BYTES = 4096
"""A pipe that is writable takes as much without waiting (pipe(7), PIPE_BUF on Linux)."""


class Lines:
    """The lines of the log; if the reader is gone they are dropped, and the daemon goes on.

    Args:
        stream: a file, pipe or terminal. One without a descriptor is written to directly.
        report_dropped: logs how many lines were dropped; called when the reader has gone on.
        buffer_bytes: how much waits for the reader at most.
    """

    def __init__(
        self, stream: BinaryIO, report_dropped: Callable[[int], None], buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self._stream = stream
        self._report_dropped = report_dropped
        self._buffer_bytes = buffer_bytes
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None
        """Runs while lines wait."""

    def logger(self, *_: object) -> Lines:
        """The factory that structlog calls."""
        return self

    def msg(self, text: bytes) -> None:
        """Write one line, now or later."""
        line = text + b"\n"
        with self._lock:
            if self._thread is None and self._takes_at_once(line):
                self._write(line)
                return
            if self._waiting_bytes + len(line) > self._buffer_bytes:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            if self._thread is None:  # it has the fields of this task's lines, such as `worker`
                self._thread = threading.Thread(
                    target=copy_context().run, args=(self._write_out,), name="log", daemon=True
                )
                self._thread.start()

    debug = info = warning = error = critical = exception = log = msg

    def flush(self, seconds_at_most: float = FLUSH_SECONDS) -> None:
        """Wait until every line is written, but not longer than that."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds_at_most)

    def _takes_at_once(self, line: bytes) -> bool:
        try:
            descriptor = _descriptor_of(self._stream)
        except ValueError:  # the stream is closed
            return True
        if descriptor is None:
            return True
        if len(line) > _AT_ONCE_BYTES:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))  # an error is a result too: the write then fails at once

    def _write_out(self) -> None:
        while True:
            with self._lock:
                dropped = self._dropped if self._waiting_bytes <= self._buffer_bytes // 2 else 0
                self._dropped -= dropped
                if not self._waiting and not dropped:
                    self._thread = None
                    return
                line = self._waiting.popleft() if self._waiting else b""
            self._write(line)
            with self._lock:
                self._waiting_bytes -= len(line)
            if dropped:
                self._report_dropped(dropped)

    def _write(self, line: bytes) -> None:
        try:
            descriptor = _descriptor_of(self._stream)
            if descriptor is None:
                self._stream.write(line)
                return
            while line:  # not through the stream, whose lock would still be held when the process ends
                line = line[write(descriptor, line) :]
        except (OSError, ValueError):  # the reader is gone; ValueError: the stream is closed
            return


def _descriptor_of(stream: BinaryIO) -> int | None:
    try:
        return stream.fileno()
    except UnsupportedOperation:  # a stream in memory
        return None
