"""Writes docs/reference from the code: `python -m tests.repo.reference`.

Each page comes from the table that the program itself uses: settings, metrics, log calls, commands, HTTP routes and the
treatments of failures. test_reference.py holds the committed pages against it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
from prometheus_client import Histogram

from subscriber.admin.control import ControlPage
from subscriber.admin.server import AdminServer
from subscriber.cli.main import main as cli
from subscriber.cli.reference import failures_table, settings_page
from subscriber.control.overrides import Command
from subscriber.control.reading import Reading
from subscriber.control.status import AlarmStatus, ControlStatus, DecisionNote, QueueStatus, SensorStatus
from subscriber.observe.log_events import MEANINGS
from subscriber.observe.metrics import Metrics
from subscriber.signals import LoadReading
from tests.repo import breaker_page
from tests.repo.log_calls import LogCall, log_calls
from tests.repo.source import ROOT

FOLDER = ROOT / "docs" / "reference"
MARK = "<!-- subscriber failures -->\n"
_WRITTEN = "<!-- Written by `python -m tests.repo.reference`; do not edit. -->\n"
_WIDTH = 80
_UNITS = ("seconds", "bytes", "percent", "messages", "rows", "requests", "events", "batches")

_METRICS = """\
# Metrics

`GET /metrics` serves every metric of the daemon in Prometheus' text format. Counters start at 0 with the process.
Label values come from short closed lists or from the settings, so the number of series is bounded. `queue` is the name
of a queue; where several have the same name, it is `REGION/ACCOUNT/NAME`. Beside each counter
and histogram the page also serves a gauge `…_created`, the Unix time at which the series began; the table omits it.

| metric | type | labels | unit | meaning |
| --- | --- | --- | --- | --- |
{rows}

## Buckets of the histograms

{buckets}
"""

_LOG_EVENTS = """\
# Log events

The log is one line per event on stdout: JSON, or plain text on a terminal (`SUBSCRIBER_LOG_FORMAT`). Every line has
`timestamp`, `level` and `event`; on ECS also `worker`. `…` stands for further fields.

| event | level | fields | logged by | meaning |
| --- | --- | --- | --- | --- |
{rows}
"""

_CLI = """\
# Command line

The help of every command, as printed in a terminal of 80 columns. `python -m subscriber` is the same program.

{commands}
"""

_HTTP = """\
# HTTP

The daemon serves HTTP at `SUBSCRIBER_HTTP_HOST`:`SUBSCRIBER_HTTP_PORT`. It has no TLS of its own; beyond the machine
itself put a TLS proxy in front of it.

| path | method | status | answer |
| --- | --- | --- | --- |
| `/` | GET | 200 | [the live page](../how-to/live-page.md) for a browser, the paths as text for others |
| `/v1/live` | GET | 200, 503 | Server-Sent Events `history` and `snapshot` of the live page; 503: 32 watch |
| `/livez` | GET | 200 | the text `alive`: the event loop answers; it depends on neither queue nor database |
| `/readyz` | GET | 200, 503 | JSON: `ready`, and `conditions` by name; 503 while one of them is false |
| `/metrics` | GET | 200 | Prometheus text format, see [metrics](metrics.md) |
| `/control` | GET | 200, 503 | JSON: `ControlStatus`; 503 while the pipeline starts or stops |
| `/control` | POST | 200, 400, 401, 403, 408, 413, 503 | JSON: `ControlStatus` after the command, or `error` |

A connection is closed if it has not sent a whole request within 5 s, or after 75 idle seconds. At most 64 are open; one
more closes the one that has been silent for the longest time.

A POST needs the header `Authorization: Bearer TOKEN` with `SUBSCRIBER_CONTROL_TOKEN`, and a `Command` as its body.

| status | meaning |
| --- | --- |
| 400 | the body is not a valid command, or its limit is out of bounds |
| 401 | the token is missing or wrong |
| 403 | `SUBSCRIBER_CONTROL_TOKEN` is not set, so every command is rejected |
| 408 | the body did not arrive in time |
| 413 | the body is too large |
| 503 | the pipeline is not running |

{structs}
"""
_STRUCTS = (
    Command,
    ControlStatus,
    Reading,
    LoadReading,
    SensorStatus,
    QueueStatus,
    AlarmStatus,
    DecisionNote,
)


def settings() -> str:
    """settings.md, which is what `subscriber settings` prints."""
    title, newline, rest = settings_page().partition("\n")
    return f"{title}{newline}{newline}{_WRITTEN}{rest}"


def metrics() -> str:
    """metrics.md, in the order of the catalog."""
    catalog = list(dict.fromkeys(Metrics().registry._collector_to_names))
    buckets = [
        f"- `{_series(metric)}`: {', '.join(f'{bound:g}' for bound in metric._upper_bounds[:-1])}"
        for metric in catalog
        if isinstance(metric, Histogram)
    ]
    return _page(_METRICS, rows="\n".join(map(_metric_row, catalog)), buckets="\n".join(buckets))


def _metric_row(metric: Any) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    unit = next((word for word in reversed(metric._name.split("_")) if word in _UNITS), "")
    return f"| `{_series(metric)}` | {metric._type} | {labels} | {unit} | {metric._documentation} |"


def _series(metric: Any) -> str:
    return f"{metric._name}_total" if metric._type == "counter" else str(metric._name)


def log_events() -> str:
    """log-events.md, by name."""
    calls: dict[str, list[LogCall]] = {}
    for call in log_calls():
        calls.setdefault(call.event, []).append(call)
    return _page(_LOG_EVENTS, rows="\n".join(_event_row(event, places) for event, places in calls.items()))


def _event_row(event: str, places: Iterable[LogCall]) -> str:
    places = list(places)
    fields = _unique(field for place in places for field in place.fields)
    named = ", ".join(field if field == "…" else f"`{field}`" for field in fields)
    levels = ", ".join(_unique(place.level for place in places))
    packages = ", ".join(_unique(f"`{place.package}`" for place in places))
    return f"| `{event}` | {levels} | {named} | {packages} | {MEANINGS.get(event, '')} |"


def _unique(texts: Iterable[str]) -> list[str]:
    """Each text once; `…` last."""
    return sorted(dict.fromkeys(texts), key=lambda text: text == "…")


def command_line() -> str:
    """cli.md, command by command."""
    sections = [f"## `{name}`\n\n```\n{text}\n```" for name, text in _help_texts(cli, None, "subscriber")]
    return _page(_CLI, commands="\n\n".join(sections))


def _help_texts(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        parent,
        name.rpartition(" ")[2],
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield name, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _help_texts(found, context, f"{name} {child}")


def http() -> str:
    """http.md: the routes by hand, the JSON from the types of the answers."""
    return _page(_HTTP, structs="\n\n".join(map(_struct_section, _STRUCTS)))


def routes() -> set[tuple[str, str]]:
    """Method and path of every route of the admin server."""
    own = re.findall(r'router\.add_(get|post)\("([^"]+)"', inspect.getsource(AdminServer))
    added = [(route.method, route.path) for route in ControlPage(None, lambda: None).routes()]
    return {(method.upper(), path) for method, path in (*own, *added)}


def _struct_section(struct: type) -> str:
    lead = (inspect.getdoc(struct) or "").partition("\n")[0]
    rows = "\n".join(f"| `{name}` | `{kind}` | {meaning} |" for name, kind, meaning in _fields(struct))
    return f"## `{struct.__name__}`\n\n{lead}\n\n| field | type | meaning |\n| --- | --- | --- |\n{rows}"


def _fields(struct: type) -> Iterator[tuple[str, str, str]]:
    """Name, type and docstring of each field, from the source of the class; a Literal is spelled out."""
    hints = get_type_hints(struct)
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(node, ast.ClassDef)
    for field, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            meaning = str(value.value) if isinstance(value, ast.Constant) else ""
            words = get_args(hints[field.target.id]) if get_origin(hints[field.target.id]) is Literal else ()
            kind = " | ".join(f'"{word}"' for word in words) or ast.unparse(field.annotation)
            yield field.target.id, kind.replace("|", "\\|"), " ".join(meaning.replace("|", "\\|").split())


def failures() -> str:
    """failures.md: the part by hand as it is, then what `subscriber failures` prints."""
    by_hand = (FOLDER / "failures.md").read_text().partition(MARK)[0]
    return f"{by_hand}{MARK}{failures_table()}"


def circuit_breaker() -> str:
    """circuit-breaker.md, from the table of transitions."""
    return _page(breaker_page.TEMPLATE, **breaker_page.parts())


def _page(template: str, **parts: str) -> str:
    title, newline, rest = template.partition("\n")
    return f"{title}{newline}{newline}{_WRITTEN}{rest.format(**parts)}"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "metrics.md": metrics,
    "log-events.md": log_events,
    "cli.md": command_line,
    "http.md": http,
    "failures.md": failures,
    "circuit-breaker.md": circuit_breaker,
}
"""What writes each page."""


def main() -> None:
    """Write every page."""
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text())
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
