"""A finding (severity, subject, problem, remedy), and the output and exit code of a list of findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from subscriber.errors import ExitCode

Severity: TypeAlias = Literal["error", "warning", "note", "good"]
"""error: the daemon would not start, or would certainly lose messages; warning: it may hurt later; note: worth knowing,
or something that could not be checked; good: no problem."""

_WORST_FIRST: tuple[Severity, ...] = ("error", "warning", "note", "good")


class Finding(msgspec.Struct, frozen=True):
    """A sentence for the operator, in parts."""

    severity: Severity
    kind: ExitCode
    """The area: CONFIGURATION, DATABASE, QUEUE or SCHEMA."""
    subject: str
    """The thing with the problem, such as "queue https://…"; empty if `problem` names it."""
    problem: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """The problem and its remedy."""
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem

    @property
    def sentence(self) -> str:
        """The same with the subject, in one line."""
        whole = f"{self.subject}: {self.text}" if self.subject else self.text
        return " ".join(whole.split())


class _Shown(msgspec.Struct, frozen=True):
    severity: Severity
    kind: str
    subject: str
    problem: str
    remedy: str


class _Report(msgspec.Struct, frozen=True):
    exit_code: int
    findings: list[_Shown]


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The order in which to fix them: by severity, then settings, database, queue, schema."""
    return sorted(findings, key=lambda each: (_WORST_FIRST.index(each.severity), each.kind, each.subject))


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """The kind of the first error; DRAINED (0) if there is none, even if there are warnings."""
    return next((each.kind for each in worst_first(findings) if each.severity == "error"), ExitCode.DRAINED)


def as_lines(findings: Iterable[Finding]) -> list[str]:
    """One line per finding, the worst first."""
    return [f"{each.severity:<8} {each.sentence}" for each in worst_first(findings)]


def as_json(findings: Iterable[Finding]) -> bytes:
    """JSON with all parts of each finding, the worst first, and the exit code."""
    ordered = worst_first(findings)
    shown = [_Shown(f.severity, f.kind.name.lower(), f.subject, f.problem, f.remedy) for f in ordered]
    return msgspec.json.format(msgspec.json.encode(_Report(int(exit_code_of(ordered)), shown)))
