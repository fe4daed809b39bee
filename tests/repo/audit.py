"""Audits dependencies for advisories: `python -m tests.repo.audit`, a step of `make check`; `--all` for all locks.

pip-audit compares each lock with the advisories of its service. An advisory on a shipped package fails the check; one
on a package for tests, checks or benchmarks is only reported. Without the tool or the network the audit prints one
line and does not fail, because `make check` must work offline.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

LOCKS: Final = (
    "runtime.txt",
    "build.txt",
    "dev.txt",
    "localstack.txt",
    "s3-servers.txt",
    "schemathesis.txt",
    "listing.txt",
    "mq-bridge.txt",
    "uv.txt",
)
SHIPPED: Final = "runtime.txt"
"""The lock of the packages in the image. It is audited first, and by default alone: an audit asks the service for every
package of a lock, and developers run `make check` many times a day."""

_FOLDER = Path(__file__).parents[2] / "requirements"
_TOOL = Path(sys.executable).with_name("pip-audit")
_OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json", "--desc", "off")
_LOCK_SECONDS = 120.0
"""The tool sends one request per package."""

Tool: TypeAlias = Callable[[Sequence[str]], str]
"""Runs pip-audit with these arguments and returns its standard output; raises OSError or TimeoutExpired."""


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
    """The lines to print, and whether the check fails."""

    lines: tuple[str, ...]
    is_failure: bool = False


def audit(tool: Tool, locks: Sequence[str] = LOCKS) -> Findings:
    """Audit the locks in order, until one cannot be audited."""
    lines: list[str] = []
    is_failure = False
    for lock in locks:
        try:
            report = msgspec.json.decode(tool([*_OPTIONS, "--requirement", str(_FOLDER / lock)]), type=_Report)
        except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
            lines.append(f"audit: skipped for {lock} and the following locks: {_why(error)}")
            break
        found = [_line(lock, package, advisory) for package in report.dependencies for advisory in package.vulns]
        lines += found or [f"audit: {lock}: {len(report.dependencies)} packages, no advisory"]
        is_failure = is_failure or (lock == SHIPPED and bool(found))
    return Findings(tuple(lines), is_failure)


def _line(lock: str, package: _Package, advisory: _Advisory) -> str:
    fix = f"fixed in {', '.join(advisory.fix_versions)}" if advisory.fix_versions else "not fixed in any version yet"
    scope = "" if lock == SHIPPED else " (not shipped)"
    return f"audit: {lock}: {package.name} {package.version} has {advisory.id}, {fix}{scope}"


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "pip-audit is not installed here (make setup)"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {_LOCK_SECONDS:g} s"
    return "pip-audit gave no report: its service is unreachable, or see its own output above"


def _pip_audit(arguments: Sequence[str]) -> str:
    command = [str(_TOOL), "--timeout", "10", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LOCK_SECONDS)
    return done.stdout


if __name__ == "__main__":
    findings = audit(_pip_audit, LOCKS if sys.argv[1:] == ["--all"] else (SHIPPED,))
    sys.stdout.write("".join(f"{line}\n" for line in findings.lines))
    sys.exit(findings.is_failure)
