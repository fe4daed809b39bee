"""Runs the `$` commands of a page in one shell, and compares what they print with what the page shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

_MARK = "--- end of command"
_DIFFERING = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00)?|\b\d\d:\d\d:\d\d(\.\d+)?\b|\[1\] \d+|\$\d+\.\d+"
    r"|127\.0\.0\.1:\d+|\d+ requests?|(?<=:\d\d)  \S+-\d+$",
    re.MULTILINE,
)
"""What differs from run to run: times, ports, process ids, workers, requests and their price."""
_ASIDE = re.compile(r'\{"timestamp":|\d+ versions, ')
"""Log and progress, which a terminal shows in another form."""


class Shown(msgspec.Struct, frozen=True):
    """A command of a page, and the lines below it."""

    command: str
    output: tuple[str, ...]


def shown_commands(markdown: str) -> Iterator[Shown]:
    """Every command that begins with `$ ` in a block without a language, with its further lines."""
    for block in re.findall(r"^```\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        while lines:
            line = lines.pop(0)
            if not line.startswith("$ "):
                continue
            command = line[2:]
            while not _is_complete(command):
                command += "\n" + lines.pop(0)
            output = []
            while lines and not lines[0].startswith("$ "):
                output.append(lines.pop(0))
            yield Shown(command, tuple(output))


def _is_complete(command: str) -> bool:
    checked = subprocess.run(["bash", "-n"], input=command + "\n", text=True, capture_output=True, check=False)
    return checked.returncode == 0 and not checked.stderr and not command.endswith("\\")


def printed(commands: list[str], environment: Mapping[str, str], folder: Path, seconds: float) -> list[list[str]]:
    """What each command prints, standard error included, in one shell."""
    script = "\n".join(f"{command}\necho '{_MARK}'" for command in commands)
    done = subprocess.run(
        ["bash"],
        input=script,
        env=dict(environment),
        cwd=folder,
        timeout=seconds,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return [part.strip("\n").splitlines() for part in done.stdout.split(f"{_MARK}\n")[:-1]]


def comparable(lines: list[str] | tuple[str, ...]) -> list[str]:
    """The lines with a placeholder for all that differs from run to run, and without differences of width."""
    joined = "\n".join(line.rstrip() for line in lines if line.strip() and not _ASIDE.match(line))
    return re.sub(r" {2,}|-{2,}", " ", _DIFFERING.sub("…", joined)).splitlines()
