"""docs/explanation/security.md is true: each threat has a mitigation, and tests that exist."""

from __future__ import annotations

import json
import re

from tests.repo.source import ROOT, texts

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def threats() -> list[list[str]]:
    """The cells of each row of the table of threats."""
    section = texts()["docs/explanation/security.md"].split("\n## ")[1]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_threat_names_tests_that_exist() -> None:
    """Each row names at least one test, and each named test exists."""
    missing = []
    for who, could, stopped, shown in threats():
        assert who
        assert could
        assert stopped
        named = _TEST.findall(shown)
        assert named, could
        assert not _TEST.sub("", shown).strip(), shown
        missing += [test for path, test in named if f"def {test}(" not in texts().get(path, "")]
    assert missing == []
    assert len(threats()) > 12


def test_every_file_of_this_folder_is_named() -> None:
    """The page names at least one test of each file in this folder."""
    named = {path for *_, shown in threats() for path, _ in _TEST.findall(shown)}
    here = {path for path in texts() if re.fullmatch(r"tests/security/test_\w+\.py", path)}
    assert here - named == {"tests/security/test_threats.py"}


def test_the_figures_are_those_of_the_last_run() -> None:
    """The page has the figures of the fuzzer's committed result: at least a million bodies, no fault."""
    result = json.loads((ROOT / "benchmarks/results/fuzz/fuzz.json").read_text())
    assert result["bodies"] >= 1_000_000
    assert result["faults"] == 0
    page = texts()["docs/explanation/security.md"]
    for figure in (result["bodies"], result["outcomes"]["understood"], result["outcomes"]["events"]):
        assert f"{figure:,}" in page
    assert f"--seed {result['seed']}" in page
