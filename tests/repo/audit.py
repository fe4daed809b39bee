"""The audit of what we depend on: `python -m tests.repo.audit`, a step of `make check`; with `--all` of every lock.

Each lock is held against the advisories that pip-audit's service knows. A package that we ship and that has one
fails the check; one that only tests, checks or the lab use is told of. Where the audit cannot be made, because the
tool or the network is not there, that is a line and no failure: a machine without a network must be able to check.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

LOCKS: Final = ("runtime.txt", "build.txt", "dev.txt", "localstack.txt", "mq-bridge.txt", "uv.txt")
SHIPPED: Final = "runtime.txt"
"""The lock whose packages are in the image; audited first, and in `make check` alone: the service is asked for every
package of a lock, and a check is made many times a day."""

_FOLDER = Path(__file__).parents[2] / "requirements"
_TOOL = Path(sys.executable).with_name("pip-audit")
_OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json", "--desc", "off")
_LOCK_SECONDS = 120.0
"""The service is asked once per package."""

Tool: TypeAlias = Callable[[Sequence[str]], str]
"""Runs pip-audit with these arguments and returns what it wrote; raises OSError or TimeoutExpired."""


class _Advisory(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class _Package(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[_Advisory] = []


class _Report(msgspec.Struct):
    dependencies: list[_Package]


class Findings(msgspec.Struct, frozen=True):
    """What is to be said, and whether it fails the check."""

    lines: tuple[str, ...]
    is_failure: bool = False


def audit(tool: Tool, locks: Sequence[str] = LOCKS) -> Findings:
    """One lock after the other, as far as it goes."""
    lines: list[str] = []
    is_failure = False
    for lock in locks:
        try:
            report = msgspec.json.decode(tool([*_OPTIONS, "--requirement", str(_FOLDER / lock)]), type=_Report)
        except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
            lines.append(f"audit: not made for {lock} and what follows: {_why(error)}")
            break
        found = [_line(lock, package, advisory) for package in report.dependencies for advisory in package.vulns]
        lines += found or [f"audit: {lock}: {len(report.dependencies)} packages, no advisory"]
        is_failure = is_failure or (lock == SHIPPED and bool(found))
    return Findings(tuple(lines), is_failure)


def _line(lock: str, package: _Package, advisory: _Advisory) -> str:
    mended = f"mended in {', '.join(advisory.fix_versions)}" if advisory.fix_versions else "not mended anywhere yet"
    weight = "" if lock == SHIPPED else " (not shipped)"
    return f"audit: {lock}: {package.name} {package.version} has {advisory.id}, {mended}{weight}"


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "pip-audit is not installed here (make setup)"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {_LOCK_SECONDS:g} s"
    return "pip-audit gave no report; its service cannot be reached from here, or look at what it says itself"


def _pip_audit(arguments: Sequence[str]) -> str:
    command = [str(_TOOL), "--timeout", "10", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LOCK_SECONDS)
    return done.stdout


if __name__ == "__main__":
    findings = audit(_pip_audit, LOCKS if sys.argv[1:] == ["--all"] else (SHIPPED,))
    sys.stdout.write("".join(f"{line}\n" for line in findings.lines))
    sys.exit(findings.is_failure)
