"""Commands of ours that the demo runs as real processes, as an operator starts them, and prints with what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from testkit.process import ProcessError
from testkit.terminal import Screen

COMMAND_SECONDS: Final = 60.0
DRIFT_CODE: Final = 10
_SHOWN_EXAMPLES: Final = 4
_DIFFERENCE: Final = re.compile(r" +(missing|ghost|stale) +(\S+)")


class Ended(msgspec.Struct, frozen=True):
    """A command that has ended."""

    code: int
    lines: tuple[str, ...]

    @property
    def differences(self) -> frozenset[tuple[str, str]]:
        """Kind and key of each example of drift."""
        return frozenset((found[1], found[2]) for line in self.lines if (found := _DIFFERENCE.fullmatch(line)))


def run_command(screen: Screen, variables: Mapping[str, str], *arguments: str) -> Ended:
    """Run a command of ours and print it with its report."""
    screen.say(f"  $ subscriber {' '.join(arguments)}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SUBSCRIBER_"))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "subscriber", *arguments],
            env=kept | dict(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"subscriber {' '.join(arguments)} did not end in {COMMAND_SECONDS:.0f} s") from error
    ended = Ended(done.returncode, tuple(done.stdout.splitlines()))
    if ended.code not in (0, DRIFT_CODE):
        raise ProcessError(f"subscriber {' '.join(arguments)} ended with exit code {ended.code}:\n{done.stderr}")
    for line in shortened(ended.lines):
        screen.say(f"  {line}")
    return ended


def shortened(lines: Sequence[str]) -> list[str]:
    """A report with its first examples only, and how many more it has."""
    examples = [line for line in lines if _DIFFERENCE.fullmatch(line)]
    others = [line for line in lines if not _DIFFERENCE.fullmatch(line)]
    more = len(examples) - _SHOWN_EXAMPLES
    return [*others, *examples[:_SHOWN_EXAMPLES], *([f"  … and {more} more examples"] if more > 0 else [])]
