"""docs/tutorial-existing-bucket.md: its commands, run in one shell on a real lab, print what the page shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from testkit.lab import export_lines, variables
from testkit.process import child_process
from tests.config.aws_commands import aws_command
from tests.config.console import comparable, printed, shown_commands
from tests.repo.source import ROOT, texts

PAGE = "docs/tutorial-existing-bucket.md"
SECONDS = 400.0


@pytest.mark.timeout(500)
@pytest.mark.usefixtures("untraced")
def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    """Every command of the page, in its order; times, ports and prices differ from run to run."""
    ours = tmp_path / "bin"
    ours.mkdir()
    command = ours / "subscriber"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m subscriber "$@"\n')
    command.chmod(0o755)
    shown = list(shown_commands(texts()[PAGE]))
    assert len(shown) > 30
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SUBSCRIBER_"))}
    start = [sys.executable, "-m", "testkit.lab"]
    # The page is about the commands of both programs, not about starting the AWS CLI two dozen times.
    with child_process("the lab", start, directory=ROOT, is_third_party=True) as lab, aws_command(ours):
        said = lab.wait_until(lambda: text if (text := lab.log_tail()).endswith("\n\n") else None, 120)
        setup = [f"cd {ROOT}", *(line for line in said.splitlines() if line.startswith("export "))]
        setup += [f'export PATH={ours}:"$PATH"', f"cd {tmp_path}"]
        found = printed(["\n".join(setup), *(each.command for each in shown)], kept, tmp_path, SECONDS)
    assert len(found) == len(shown) + 1
    for each, lines in zip(shown, found[1:], strict=True):
        assert comparable(lines) == comparable(each.output), each.command


def test_the_page_shows_the_lines_of_the_lab() -> None:
    """The variables that the lab prints, in its order."""
    names = [line.partition("=")[0] for line in export_lines(variables("http://127.0.0.1:1", "postgresql://"))]
    page = [line.partition("=")[0] for line in texts()[PAGE].splitlines() if line.startswith("export ")]
    assert page == names


def test_a_difference_is_seen() -> None:
    """Another count or key is a difference; another time, price, width or line of progress is none."""
    first = ["7 versions, 3/s", "listed  7 versions in 2 requests, $0.000010", "at 2026-11-29T11:20:18Z"]
    assert comparable(first) == comparable(["listed 7 versions in 1 request, $0.000005", "at 2026-11-30T01:00:00Z"])
    assert comparable(first) != comparable(["listed 8 versions in 1 request, $0.000005", "at 2026-11-30T01:00:00Z"])
