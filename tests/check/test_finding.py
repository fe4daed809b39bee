"""How findings are ordered and shown, and how they end the command."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from subscriber.check.rules.finding import Finding, Severity, as_json, as_lines, exit_code_of
from subscriber.errors import ExitCode


def finding(severity: Severity, kind: ExitCode) -> Finding:
    """One whose words do not matter."""
    return Finding(severity, kind, "thing", "is\nwrong", "mend it")


ORDERED = [
    finding("error", ExitCode.CONFIGURATION),
    finding("error", ExitCode.SCHEMA),
    finding("warning", ExitCode.DATABASE),
    finding("note", ExitCode.DATABASE),
    finding("good", ExitCode.DATABASE),
]


def test_the_worst_comes_first_in_one_line_each() -> None:
    """Whatever the order in which they were found."""
    for found in permutations(ORDERED):
        assert [line.split()[0] for line in as_lines(found)] == ["error", "error", "warning", "note", "good"]
        assert as_lines(found)[0] == "error    thing: is wrong; mend it"
        assert exit_code_of(found) is ExitCode.CONFIGURATION


@pytest.mark.parametrize("kind", [ExitCode.CONFIGURATION, ExitCode.DATABASE, ExitCode.QUEUE, ExitCode.SCHEMA])
def test_an_error_ends_with_the_code_of_its_kind(kind: ExitCode) -> None:
    """And what is not an error ends well."""
    assert exit_code_of([finding("warning", ExitCode.QUEUE), finding("error", kind)]) is kind
    assert exit_code_of([finding("warning", kind), finding("note", kind), finding("good", kind)]) is ExitCode.DRAINED


def test_a_machine_gets_all_parts() -> None:
    """The exit code and each part of each finding, in the same order."""
    report = json.loads(as_json(ORDERED))
    assert report["exit_code"] == 2
    assert report["findings"][1] == {
        "severity": "error",
        "kind": "schema",
        "subject": "thing",
        "problem": "is\nwrong",
        "remedy": "mend it",
    }
