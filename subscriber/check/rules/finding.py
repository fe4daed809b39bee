"""One thing that was found: how bad, where, what, and how to mend it; and how a list of them is shown and ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from subscriber.errors import ExitCode

Severity: TypeAlias = Literal["error", "warning", "note", "good"]
"""The daemon would not start, or would lose messages for sure; it may hurt later; worth knowing, and what could not
be looked at; all is well."""

_WORST_FIRST: tuple[Severity, ...] = ("error", "warning", "note", "good")


class Finding(msgspec.Struct, frozen=True):
    """A sentence for the operator, in parts."""

    severity: Severity
    kind: ExitCode
    """Whose business it is: CONFIGURATION, DATABASE, QUEUE or SCHEMA."""
    subject: str
    """The thing it is about, as in "queue https://…"; empty where the problem names it."""
    problem: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """What is wrong and how to mend it."""
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem

    @property
    def sentence(self) -> str:
        """The same with its subject, in one line."""
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
    """In the order in which to mend them: by severity, then settings before database before queue before schema."""
    return sorted(findings, key=lambda each: (_WORST_FIRST.index(each.severity), each.kind, each.subject))


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """The kind of the worst error; DRY where there is none, whatever the warnings."""
    return next((each.kind for each in worst_first(findings) if each.severity == "error"), ExitCode.DRAINED)


def as_lines(findings: Iterable[Finding]) -> list[str]:
    """For a person: a line each, the worst first."""
    return [f"{each.severity:<8} {each.sentence}" for each in worst_first(findings)]


def as_json(findings: Iterable[Finding]) -> bytes:
    """For a machine: all parts of each, the worst first, and the exit code."""
    ordered = worst_first(findings)
    shown = [_Shown(f.severity, f.kind.name.lower(), f.subject, f.problem, f.remedy) for f in ordered]
    return msgspec.json.format(msgspec.json.encode(_Report(int(exit_code_of(ordered)), shown)))
