"""`subscriber settings` and `subscriber failures`: text for a terminal, Markdown for a file, one entry for a word."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from subscriber.cli.main import main
from subscriber.cli.reference import failures_table, settings_page
from subscriber.errors import FAILURES
from subscriber.settings.constraints import CONSTRAINTS
from subscriber.settings.table import settings_table


def output(*arguments: str, columns: int = 80) -> str:
    """What the command prints on stdout, which is no terminal here."""
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": str(columns)})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_a_file_gets_markdown() -> None:
    """Without a terminal, and on request, both commands print their whole table."""
    assert output("settings") == output("settings", "--format", "markdown") == settings_page()
    assert output("failures") == output("failures", "--format", "markdown") == failures_table()


@pytest.mark.parametrize("command", ["settings", "failures"])
def test_a_terminal_gets_text(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the text is the default."""
    monkeypatch.setattr("subscriber.cli.reference._is_terminal", lambda: True)
    assert output(command) == output(command, "--format", "text")
    assert not output(command).startswith(("#", "|"))


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_text_is_wrapped_to_the_terminal(columns: int) -> None:
    """No line is wider than the terminal, nor than a hundred columns."""
    for command in ("settings", "failures"):
        lines = output(command, "--format", "text", columns=columns).splitlines()
        assert max(map(len, lines)) <= min(columns, 100)


def test_text_holds_every_setting() -> None:
    """Name, default, values and meaning of each, in order, below the heading of its group; constraints last."""
    words = " ".join(output("settings", "--format", "text").split())
    place, group = 0, ""
    for row in settings_table():
        heading = f"{row.group} " if row.group != group else ""
        entry = f"{heading}{row.variable} default {row.default} takes {row.takes} meaning {row.meaning}"
        place, group = words.index(entry, place), row.group
    for each in CONSTRAINTS:
        place = words.index(f"{each.formula} reason {each.reason}", place)


def test_text_holds_every_failure() -> None:
    """Key, word, treatment and advice of each, in order."""
    words, place = " ".join(output("failures", "--format", "text").split()), 0
    for key, failure in FAILURES.items():
        entry = f"{key} {failure.word} treatment {failure.treatment.value} advice {failure.advice}"
        place = words.index(entry, place)


@pytest.mark.parametrize("word", ["SUBSCRIBER_BATCH_MAX_ROWS", "batch_max_rows", "Subscriber_Batch_Max_Rows"])
def test_one_setting_is_printed(word: str) -> None:
    """By its name, with or without the prefix, in any case."""
    (row,) = [row for row in settings_table() if row.variable == "SUBSCRIBER_BATCH_MAX_ROWS"]
    assert " ".join(output("settings", word).split()) == (
        f"{row.group} {row.variable} default {row.default} takes {row.takes} meaning {row.meaning}"
    )
    assert json.loads(output("settings", word, "--json"))[0]["variable"] == row.variable
    assert output("settings", word, "--format", "markdown").startswith(f"| `{row.variable}` |")


def test_a_part_of_a_name_prints_several_settings() -> None:
    """The prefix that all settings share is no part of any."""
    lag = [row["variable"] for row in json.loads(output("settings", "lag", "--json"))]
    assert lag == ["SUBSCRIBER_LAG_TARGET_SECONDS", "SUBSCRIBER_LAG_MAX_SECONDS"]


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("40P01", ["40P01"]),
        ("57p", ["57P01", "57P02", "57P03", "57P04", "57P05"]),
        ("deadlock", ["40P01"]),
        ("credentials", ["28"]),
        ("no_d", ["3D000", "57P04"]),
    ],
)
def test_one_failure_is_printed(word: str, keys: list[str]) -> None:
    """By SQLSTATE, listed or not, by word or treatment; or by a part of them."""
    blocks = output("failures", word).split("\n\n")
    assert [block.partition("  ")[0] for block in blocks] == keys
    rows = output("failures", word, "--format", "markdown").splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == keys


@pytest.mark.parametrize(
    ("word", "note", "key"),
    [
        ("40001", "40001 belongs to class 40", "40"),
        ("xx000", "XX000 belongs to class XX", "XX"),
        ("99X99", "99X99 and its class are not in the table", "any other"),
    ],
)
def test_a_code_without_a_row_names_the_row_that_applies(word: str, note: str, key: str) -> None:
    """Its class, or the last row of the table."""
    first, block = output("failures", word).split("\n\n")
    assert (first, block.partition("  ")[0]) == (note, key)
    (row,) = output("failures", word, "--format", "markdown").splitlines()[2:]
    assert row.split("|")[1].strip(" `") == key


def test_json_and_another_format_exclude_each_other() -> None:
    """It is a usage error."""
    result = CliRunner().invoke(main, ["settings", "--json", "--format", "text"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--json and --format exclude each other" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("settings", "log_levl"), "no setting is named 'log_levl'; the nearest one is SUBSCRIBER_LOG_LEVEL"),
        (("settings", "SUBSCRIBER_"), "no setting is named 'SUBSCRIBER_'; `subscriber settings` lists them\n"),
        (("failures", "deadlok"), "no failure is named 'deadlok'; the nearest one is deadlock"),
        (("failures", "40p9"), "no failure is named '40p9'; the nearest one is 40P01"),
        (("failures", "xyzzy"), "no failure is named 'xyzzy'; `subscriber failures` lists them\n"),
        (("settings", "xyzzy"), "no setting is named 'xyzzy'; `subscriber settings` lists them\n"),
        (("failures", " "), "WORD is empty: name a failure; `subscriber failures` lists them\n"),
        (("settings", ""), "WORD is empty: name a setting; `subscriber settings` lists them\n"),
    ],
)
def test_an_unknown_word_names_a_similar_one_or_the_list(arguments: tuple[str, ...], message: str) -> None:
    """In one line, with the exit code for invalid settings."""
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"subscriber: {message}")
