"""The files of config/ say what the program says."""

from __future__ import annotations

from pathlib import Path

from subscriber.cli.reference import settings_page
from subscriber.settings.table import Settings, settings_table

CONFIG = Path(__file__).parents[2] / "config"


def assignments(text: str) -> dict[str, str]:
    """The variables of an env file, and those that are commented out as defaults."""
    lines = (line.removeprefix("#") for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if line.startswith("SUBSCRIBER_"))


def test_reference_is_up_to_date() -> None:
    """config/README.md is what `subscriber settings` prints."""
    assert (CONFIG / "README.md").read_text() == settings_page()


def test_reference_is_a_table_of_whole_rows() -> None:
    """No text breaks out of its cell."""
    rows = [line for line in settings_page().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
    assert len(rows) == len(settings_table()) + 2


def test_example_starts() -> None:
    """The example is valid as it stands."""
    lines = [line for line in (CONFIG / "env/example.env").read_text().splitlines() if line[:1] not in ("", "#")]
    settings = Settings.from_environment(dict(line.split("=", 1) for line in lines))
    assert settings.database_tls == "verify-full"


def test_example_shows_every_setting_with_its_default() -> None:
    """Each setting is in the example, in the order of the reference, with the default it really has."""
    example = assignments((CONFIG / "env/example.env").read_text())
    table = settings_table()
    assert list(example) == [row.variable for row in table]
    plain = [row for row in table if row.default != "required" and " " not in row.default]
    assert len(plain) > 15
    assert {row.variable: example[row.variable] for row in plain} == {row.variable: row.default for row in plain}
