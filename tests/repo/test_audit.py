"""The audit of dependencies fails for what we ship, tells of the rest, and never fails for want of a network."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence

import pytest

from tests.repo.audit import LOCKS, Findings, audit
from tests.repo.source import ROOT, texts

CLEAN = {"name": "click", "version": "8.3.0", "vulns": []}
BAD = {
    "name": "click",
    "version": "8.3.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["8.3.1"], "aliases": ["CVE-1"]}],
}
UNKNOWN = {"name": "ours", "skip_reason": "not known to the service"}


class Tool:
    """A pip-audit with an answer for each lock."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, arguments: Sequence[str]) -> str:
        """The answer of the lock that is asked for."""
        lock = arguments[-1].rpartition("/")[2]
        self.asked.append(lock)
        answer = self.answers.get(lock.removesuffix(".txt").replace("-", "_"), [CLEAN])
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps({"dependencies": answer, "fixes": []})


def test_clean_locks_are_a_line_each() -> None:
    """All of them are looked at, what is shipped first; packages that the service does not know are no advisory."""
    tool = Tool(dev=[CLEAN, UNKNOWN])
    findings = audit(tool)
    assert tuple(tool.asked) == LOCKS
    assert (findings.lines[0], findings.lines[2]) == (
        "audit: runtime.txt: 1 packages, no advisory",
        "audit: dev.txt: 2 packages, no advisory",
    )
    assert not findings.is_failure


def test_an_advisory_on_what_is_shipped_fails() -> None:
    """The line says what has it and what to take instead."""
    findings = audit(Tool(runtime=[BAD]))
    assert findings.is_failure
    assert findings.lines[0] == "audit: runtime.txt: click 8.3.0 has PYSEC-1, mended in 8.3.1"


def test_an_advisory_elsewhere_is_told() -> None:
    """What only the lab uses must not stop a change, nor go unsaid."""
    findings = audit(Tool(localstack=[BAD]))
    assert not findings.is_failure
    assert "audit: localstack.txt: click 8.3.0 has PYSEC-1, mended in 8.3.1 (not shipped)" in findings.lines


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (FileNotFoundError(), "pip-audit is not installed here"),
        (subprocess.TimeoutExpired("pip-audit", 120), "no answer within 120 s"),
        ("", "pip-audit gave no report"),
        ("Traceback (most recent call last):", "pip-audit gave no report"),
        ('{"error": 5}', "pip-audit gave no report"),
    ],
)
def test_what_cannot_be_audited_is_one_line(trouble: object, why: str) -> None:
    """And nobody waits for the other locks, or fails."""
    tool = Tool(runtime=trouble)
    findings = audit(tool)
    assert tool.asked == ["runtime.txt"]
    (line,) = findings.lines
    assert why in line
    assert findings == Findings((line,), is_failure=False)


def test_every_lock_is_audited_by_the_check() -> None:
    """`make check` makes it, and no lock is left out."""
    assert set(LOCKS) == {path.name for path in ROOT.joinpath("requirements").glob("*.txt")}
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", texts()["Makefile"], re.MULTILINE)
    assert check is not None
    assert "python -m tests.repo.audit" in check[1]
