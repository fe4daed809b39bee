"""Order, output and exit code of findings."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from subscriber.check.rules.finding import Finding, Severity, as_json, as_lines, exit_code_of
from subscriber.errors import ExitCode


def finding(severity: Severity, kind: ExitCode) -> Finding:
    """A finding with arbitrary texts."""
    return Finding(severity, kind, "thing", "is\nwrong", "fix it")


ORDERED = [
    finding("error", ExitCode.CONFIGURATION),
    finding("error", ExitCode.SCHEMA),
    finding("warning", ExitCode.DATABASE),
    finding("note", ExitCode.DATABASE),
    finding("good", ExitCode.DATABASE),
]


def test_one_line_each_and_the_worst_first() -> None:
    """In any order of the input."""
    for found in permutations(ORDERED):
        assert [line.split()[0] for line in as_lines(found)] == ["error", "error", "warning", "note", "good"]
        assert as_lines(found)[0] == "error    thing: is wrong; fix it"
        assert exit_code_of(found) is ExitCode.CONFIGURATION


@pytest.mark.parametrize("kind", [ExitCode.CONFIGURATION, ExitCode.DATABASE, ExitCode.QUEUE, ExitCode.SCHEMA])
def test_the_exit_code_is_that_of_the_error(kind: ExitCode) -> None:
    """Without an error it is 0."""
    assert exit_code_of([finding("warning", ExitCode.QUEUE), finding("error", kind)]) is kind
    assert exit_code_of([finding("warning", kind), finding("note", kind), finding("good", kind)]) is ExitCode.DRAINED


def test_json_has_all_parts() -> None:
    """The exit code and all parts of each finding, in the same order."""
    report = json.loads(as_json(ORDERED))
    assert report["exit_code"] == 2
    assert report["findings"][1] == {
        "severity": "error",
        "kind": "schema",
        "subject": "thing",
        "problem": "is\nwrong",
        "remedy": "fix it",
    }
