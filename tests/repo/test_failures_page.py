"""docs/reference/failures.md, and pages that name log lines, say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from subscriber.cli.reference import failures_table
from subscriber.errors import FAILURES, Treatment
from subscriber.observe.metrics import Metrics
from subscriber.settings.table import settings_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "failures.md").read_text()
MARK = "<!-- subscriber failures -->\n"


def test_its_last_part_is_what_the_command_prints() -> None:
    """It holds every row of the table of failures, in order."""
    assert PAGE.partition(MARK)[2] == failures_table()
    assert all(f"| `{key}` | `{failure.word}` |" in failures_table() for key, failure in FAILURES.items())


def test_every_word_is_on_the_page() -> None:
    """Also those that the program gives to failures of its own, which no row of the table has."""
    source = "".join(path.read_text() for path in (ROOT / "subscriber").rglob("*.py"))
    words = set(re.findall(r'StoreError\(\s*(?:Treatment\.[A-Z_]+|treatment),\s*"([a-z_]+)"', source))
    assert words >= {"no_login", "no_token", "no_separator", "secret_unreachable", "secret_refused"}
    assert [word for word in sorted(words) if f"`{word}`" not in PAGE] == []


def test_every_treatment_is_explained() -> None:
    """Each is named as in metrics and log."""
    explained = PAGE.partition(MARK)[0]
    assert [one.value for one in Treatment if f"`{one.value}`" not in explained] == []


def test_metrics_log_lines_and_settings_are_named_as_they_are() -> None:
    """Every name on the page exists."""
    page = PAGE.partition(MARK)[0]
    source = "".join(path.read_text() for path in (ROOT / "subscriber").rglob("*.py"))
    families = {metric.name.removeprefix("subscriber_") for metric in Metrics().registry.collect()}
    cells = [
        line.split("|")[4]
        for line in page.splitlines()
        if line.startswith("| ") and not line.startswith("| what fails")
    ]
    names = [name for cell in cells if "-" not in cell[:5] for name in re.findall(r"`([a-z_.]+)(?:\{[^`]*)?`", cell)]
    assert len(names) > 30
    assert [name for name in names if name not in families and f'"{name}"' not in source] == []
    settings = {row.variable for row in settings_table()}
    assert [name for name in re.findall("SUBSCRIBER_[A-Z_]+", PAGE) if name not in settings] == []


def test_log_lines_that_an_operator_should_look_for_exist() -> None:
    """They are named by the page on incidents and by the alarms."""
    source = "".join(path.read_text() for path in (ROOT / "subscriber").rglob("*.py"))
    named = (ROOT / "docs" / "how-to" / "incident.md").read_text() + (
        ROOT / "config" / "watch" / "prometheus-rules.yaml"
    ).read_text()
    kinds = (
        "database|message|messages|quarantine|leases|batch|sensor|queue|receive|daemon|limit|pipeline|secret|control"
    )
    lines = set(re.findall(rf"\b(?:{kinds})\.[a-z_]+\b(?!/)", named)) - {"control.md"}
    assert len(lines) > 5
    assert [line for line in sorted(lines) if f'"{line}"' not in source] == []
