"""docs/failures.md says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from subscriber.cli.main import treatments
from subscriber.errors import FAILURES, Treatment
from subscriber.observe.metrics import Metrics
from subscriber.settings.table import settings_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "failures.md").read_text()
MARK = "<!-- subscriber failures -->\n"


def test_its_last_part_is_what_the_command_prints() -> None:
    """Every row of the table of failures, in its order."""
    assert PAGE.partition(MARK)[2] == treatments()
    assert all(f"| `{key}` | `{failure.word}` |" in treatments() for key, failure in FAILURES.items())


def test_every_treatment_is_explained() -> None:
    """By the name that metric and log give it."""
    explained = PAGE.partition(MARK)[0]
    assert [one.value for one in Treatment if f"`{one.value}`" not in explained] == []


def test_metrics_log_lines_and_settings_are_named_as_they_are() -> None:
    """Whatever looks like one of them exists."""
    page = PAGE.partition(MARK)[0]
    source = "".join(path.read_text() for path in (ROOT / "subscriber").rglob("*.py"))
    families = {metric.name.removeprefix("subscriber_") for metric in Metrics().registry.collect()}
    cells = [
        line.split("|")[4] for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what")
    ]
    names = [name for cell in cells if "-" not in cell[:5] for name in re.findall(r"`([a-z_.]+)(?:\{[^`]*)?`", cell)]
    assert len(names) > 30
    assert [name for name in names if name not in families and f'"{name}"' not in source] == []
    settings = {row.variable for row in settings_table()}
    assert [name for name in re.findall("SUBSCRIBER_[A-Z_]+", PAGE) if name not in settings] == []


def test_log_lines_that_an_operator_is_sent_to_are_written() -> None:
    """By the page for the night and by the alarms."""
    source = "".join(path.read_text() for path in (ROOT / "subscriber").rglob("*.py"))
    sent_to = (ROOT / "docs" / "control.md").read_text() + (
        ROOT / "config" / "watch" / "prometheus-rules.yaml"
    ).read_text()
    rooms = "database|message|messages|quarantine|leases|batch|sensor|queue|receive|daemon|limit|line|secret|control"
    lines = set(re.findall(rf"\b(?:{rooms})\.[a-z_]+\b(?!/)", sent_to)) - {"control.md", "line.md"}
    assert len(lines) > 5
    assert [line for line in sorted(lines) if f'"{line}"' not in source] == []
