"""`subscriber settings` and `subscriber failures`: reference tables, for a terminal or as Markdown.

On a terminal both print text wrapped to its width, elsewhere the Markdown table of the documentation. A word selects
entries. Nothing here imports a client, a server or the log.
"""

from __future__ import annotations

import difflib
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import click
import msgspec

from subscriber.errors import FAILURES, UNKNOWN_FAILURE, ConfigurationError, Failure, failure_of
from subscriber.settings.constraints import CONSTRAINTS
from subscriber.settings.parsers import PREFIX, Row
from subscriber.settings.table import settings_table

_SETTINGS_PAGE = """\
# Settings

Every setting is an environment variable, read once at start. All mistakes are reported together; an unknown
`SUBSCRIBER_` variable is a mistake. AWS's own variables (region, credentials, `AWS_ENDPOINT_URL_SQS` …) keep
their meaning. This page is what `subscriber settings` prints.

| variable | default | takes | meaning |
| --- | --- | --- | --- |
{rows}

## Constraints between settings

The daemon starts only if all of these hold.

{constraints}
"""

_WIDEST = 100
_NARROWEST = 40
_SQLSTATE = re.compile(r"(?=.*[0-9])[0-9A-Z]{5}")
"""Five digits or capitals; of capitals alone there is none (PostgreSQL, Appendix A)."""
_ANY_OTHER = "any other"


class KeyedFailure(NamedTuple):
    """One row of the table of failures."""

    key: str
    """SQLSTATE, class of SQLSTATEs, or family of driver exceptions."""
    failure: Failure


def _format_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option that overrides the choice between text and Markdown."""
    meaning = "Default: text on a terminal or for a WORD."
    return click.option("--format", "style", type=click.Choice(["text", "markdown"]), help=meaning)(command)


@click.command()
@click.argument("word", required=False)
@_format_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per setting.")
def settings(*, word: str | None, style: Literal["text", "markdown"] | None, as_json: bool) -> None:
    """Print the settings reference, or look up one setting.

    WORD is the name of a setting or a part of it, with or without SUBSCRIBER_, in any case.
    """
    if as_json and style:
        raise click.UsageError("--json and --format exclude each other")
    rows = settings_table() if word is None else _settings_named(word)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows)))
    elif _is_text(style, word):
        constraints = () if word else _constraints_text()
        click.echo("\n".join([*_settings_text(rows), *constraints]))
    else:
        click.echo(settings_page() if word is None else f"{_settings_rows(rows)}\n", nl=False)


@click.command()
@click.argument("word", required=False)
@_format_option
def failures(*, word: str | None, style: Literal["text", "markdown"] | None) -> None:
    """Print how the daemon treats each database failure.

    WORD is an SQLSTATE, the word of a metric or log line, or a treatment; or a part of one of them.
    """
    found = _all_failures() if word is None else _failures_named(word)
    if _is_text(style, word):
        note = _class_note(word, found)
        click.echo("\n\n".join([*note, *(_failure_text(each) for each in found)]))
    else:
        click.echo(failures_table(found), nl=False)


def settings_page() -> str:
    """The reference of the settings in Markdown: what config/README.md holds."""
    constraints = [f"- `{each.formula}`: {each.reason}." for each in CONSTRAINTS]
    return _SETTINGS_PAGE.format(rows=_settings_rows(settings_table()), constraints="\n".join(constraints))


def failures_table(rows: Iterable[KeyedFailure] | None = None) -> str:
    """The table from failure to treatment in Markdown; by default the whole one."""
    lines = [
        f"| {key if key == _ANY_OTHER else f'`{key}`'} | `{failure.word}` | `{failure.treatment.value}` "
        f"| {failure.advice} |"
        for key, failure in (_all_failures() if rows is None else rows)
    ]
    return "\n".join(
        ["| SQLSTATE, class or family | word | treatment | what to know |", "| --- | --- | --- | --- |", *lines, ""]
    )


def _is_text(style: str | None, word: str | None) -> bool:
    return style == "text" if style else word is not None or _is_terminal()


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _settings_rows(rows: Iterable[Row]) -> str:
    return "\n".join(f"| `{row.variable}` | {row.default} | {row.takes} | {row.meaning} |" for row in rows)


def _settings_named(word: str) -> list[Row]:
    """The setting of that name, or else all whose names contain the word.

    Raises:
        ConfigurationError: there is none; it names a similar one.
    """
    rows = settings_table()
    name = word.strip().upper().removeprefix(PREFIX)
    found = [row for row in rows if row.variable == PREFIX + name] or [
        row for row in rows if name in row.variable.removeprefix(PREFIX)
    ]
    if not found or not name:
        known = {row.variable.removeprefix(PREFIX): row.variable for row in rows}
        raise ConfigurationError(_unknown(word, "setting", name, known))
    return found


def _all_failures() -> list[KeyedFailure]:
    return [KeyedFailure(*item) for item in (*FAILURES.items(), (_ANY_OTHER, UNKNOWN_FAILURE))]


def _failures_named(word: str) -> list[KeyedFailure]:
    """The failures whose key, word or treatment is that word, or else contains it, by key.

    A whole SQLSTATE always has one.

    Raises:
        ConfigurationError: there is none; it names a similar one.
    """
    rows = sorted(_all_failures(), key=lambda row: (row.key == _ANY_OTHER, row.key))
    name = word.strip().lower()
    names = [(row, (row.key.lower(), row.failure.word, row.failure.treatment.value)) for row in rows]
    found = [row for row, its in names if name in its]
    if not found and _SQLSTATE.fullmatch(name.upper()):
        applying = failure_of(name.upper())
        found = [row for row in rows if row.failure is applying]
    if not found:
        found = [row for row, its in names if any(name in one for one in its)]
    if not found or not name:
        known = {one: row.key if one == row.key.lower() else one for row, its in names for one in its}
        raise ConfigurationError(_unknown(word, "failure", name, known))
    return found


def _class_note(word: str | None, found: Sequence[KeyedFailure]) -> Iterator[str]:
    """Says to which row an SQLSTATE belongs that has none of its own."""
    code = (word or "").strip().upper()
    if not _SQLSTATE.fullmatch(code) or code in FAILURES:
        return
    key = found[0].key
    yield f"{code} and its class are not in the table" if key == _ANY_OTHER else f"{code} belongs to class {key}"


def _unknown(word: str, kind: str, sought: str, known: Mapping[str, str]) -> str:
    """The answer to an unknown word: a similar one, if there is one, or the command that lists all.

    Args:
        word: As it was given.
        kind: `setting` or `failure`.
        sought: The word to compare.
        known: The words to compare it with, and how each is shown.
    """
    listed = f"`subscriber {kind}s` lists them"
    if not word.strip():
        return f"WORD is empty: name a {kind}; {listed}"
    nearest = difflib.get_close_matches(sought, known, n=1)
    return f"no {kind} is named {word!r}; {f'the nearest one is {known[nearest[0]]}' if nearest else listed}"


def _settings_text(rows: Iterable[Row]) -> Iterator[str]:
    """Each setting as a block of lines, under the heading of its group."""
    group = ""
    for row in rows:
        if row.group != group:
            yield ("\n" if group else "") + click.style(row.group, bold=True)
            group = row.group
        yield ""
        yield f"  {click.style(row.variable, bold=True)}"
        yield from _wrapped("default  ", row.default)
        yield from _wrapped("takes    ", row.takes)
        yield from _wrapped("meaning  ", row.meaning)


def _constraints_text() -> Iterator[str]:
    yield "\n" + click.style("Constraints between settings", bold=True)
    for each in CONSTRAINTS:
        yield ""
        yield from _wrapped("", each.formula, indent=2)
        yield from _wrapped("reason   ", each.reason)


def _failure_text(row: KeyedFailure) -> str:
    failure = row.failure
    return "\n".join(
        [
            f"{click.style(row.key, bold=True)}  {failure.word}",
            *_wrapped("treatment  ", failure.treatment.value),
            *_wrapped("advice     ", failure.advice),
        ]
    )


def _wrapped(label: str, text: str, indent: int = 4) -> list[str]:
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    first = " " * indent + label
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)
