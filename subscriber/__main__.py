"""The entry point: `subscriber`, or `python -m subscriber`.

It takes the shutdown signals before it imports anything: the imports take a second or more on a small task, and as the
first process of a container a process without a handler never gets SIGTERM at all (pid_namespaces(7)).
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

STOPPED = 0
"""Exit code of `run`, as after any stop: nothing has been received yet."""


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    is_daemon = sys.argv[1:2] == ["run"]
    for number in (signal.SIGINT, signal.SIGTERM):  # in this order: whoever sees the second taken may send the first
        signal.signal(number, _stop_before_start if is_daemon else _end)
    from subscriber.cli.interruption import take_signals  # noqa: PLC0415 - only now are the signals taken
    from subscriber.cli.main import main as commands  # noqa: PLC0415 - see above

    commands(prog_name="subscriber", obj=None if is_daemon else take_signals)


def _open_standard_streams() -> None:
    """Let closed standard streams lead nowhere: else a socket gets their descriptor, which libuv forbids by abort."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _stop_before_start(_number: int, _frame: FrameType | None) -> None:
    """End at once: an exception could be swallowed by whatever is being imported.

    `StopRequest.install` replaces this handler.
    """
    os._exit(STOPPED)


def _end(number: int, _frame: FrameType | None) -> None:
    """The same for a command, with the exit code that a shell reports; `take_signals` replaces this handler."""
    os._exit(128 + number)


if __name__ == "__main__":
    main()
