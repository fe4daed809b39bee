"""The audit fails for advisories on shipped packages, reports the others, and does not fail without a network."""

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
    """A pip-audit with a scripted answer for each lock."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, arguments: Sequence[str]) -> str:
        """The answer for the lock in the arguments."""
        lock = arguments[-1].rpartition("/")[2]
        self.asked.append(lock)
        answer = self.answers.get(lock.removesuffix(".txt").replace("-", "_"), [CLEAN])
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps({"dependencies": answer, "fixes": []})


def test_clean_locks_give_one_line_each() -> None:
    """All locks are audited, the shipped one first; a package that the service does not know is no advisory."""
    tool = Tool(dev=[CLEAN, UNKNOWN])
    findings = audit(tool)
    assert tuple(tool.asked) == LOCKS
    assert (findings.lines[0], findings.lines[2]) == (
        "audit: runtime.txt: 1 packages, no advisory",
        "audit: dev.txt: 2 packages, no advisory",
    )
    assert not findings.is_failure


def test_an_advisory_on_a_shipped_package_fails() -> None:
    """The line names the package, the advisory and the fixed version."""
    findings = audit(Tool(runtime=[BAD]))
    assert findings.is_failure
    assert findings.lines[0] == "audit: runtime.txt: click 8.3.0 has PYSEC-1, fixed in 8.3.1"


def test_an_advisory_on_another_package_is_reported() -> None:
    """An advisory on a package that is not shipped is reported but does not fail the check."""
    findings = audit(Tool(localstack=[BAD]))
    assert not findings.is_failure
    assert "audit: localstack.txt: click 8.3.0 has PYSEC-1, fixed in 8.3.1 (not shipped)" in findings.lines


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (FileNotFoundError(), "pip-audit is not installed here"),
        (subprocess.TimeoutExpired("pip-audit", 120), "no answer within 120 s"),
        ("", "pip-audit gave no report"),
        ("Traceback (most recent call last):", "pip-audit gave no report"),
        ('{"error": 5}', "pip-audit gave no report"),
    ],
)
def test_a_failed_audit_gives_one_line(problem: object, why: str) -> None:
    """The other locks are skipped, and the check does not fail."""
    tool = Tool(runtime=problem)
    findings = audit(tool)
    assert tool.asked == ["runtime.txt"]
    (line,) = findings.lines
    assert why in line
    assert findings == Findings((line,), is_failure=False)


def test_every_lock_is_audited_by_the_check() -> None:
    """`make check` runs the audit, and LOCKS has all locks."""
    assert set(LOCKS) == {path.name for path in ROOT.joinpath("requirements").glob("*.txt")}
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", texts()["Makefile"], re.MULTILINE)
    assert check is not None
    assert "python -m tests.repo.audit" in check[1]
