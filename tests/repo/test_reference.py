"""docs/reference says what the program does: every page is what the code writes."""

from __future__ import annotations

import re

import pytest

from subscriber.flow.health import TRANSITIONS
from subscriber.observe.log_events import MEANINGS
from tests.repo.log_calls import log_calls
from tests.repo.reference import FOLDER, PAGES, http, routes
from tests.repo.source import sources

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_what_the_code_writes(name: str) -> None:
    """`python -m tests.repo.reference` would change nothing."""
    assert (FOLDER / name).read_text() == PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_tables_have_whole_rows(name: str) -> None:
    """No text breaks out of its cell: every row has as many cells as the head of its table."""
    for table in re.findall(r"(?:^\|.*\n)+", PAGES[name](), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_every_log_event_has_a_meaning() -> None:
    """Each event in the code is in the catalog, and each of the catalog is logged."""
    assert sorted({call.event for call in log_calls()}) == sorted(MEANINGS)


def test_no_call_of_the_log_is_missed() -> None:
    """Every module that logs is among the places found."""
    logging = {
        "/".join(source.path.split("/")[:-1])
        for source in sources()
        if source.path.startswith("subscriber/") and re.search(r"\b(_log|get_logger\(\))\.\w+\(", source.text)
    }
    assert {call.package for call in log_calls()} == logging


def test_the_circuit_breaker_is_drawn_whole() -> None:
    """Every transition is an arrow of the picture and a row of the table, and nothing else is."""
    page = (FOLDER / "circuit-breaker.md").read_text()
    names = dict(re.findall(r'^    state "(.+)" as (\w+)$', page, re.MULTILINE))
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", page, re.MULTILINE)
    expected = [(state.value, event.value, after.value) for (state, event), (after, _) in TRANSITIONS.items()]
    assert [(before, event, after) for before, after, event in arrows] == [
        (names[state], event, names[after]) for state, event, after in expected
    ]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| .+ \|$", page.partition("## Transitions")[2], re.MULTILINE)
    assert rows[2:] == expected


def test_every_route_is_described() -> None:
    """Each method and path of the admin server is a row of the page."""
    described = re.findall(r"^\| `(/\w*)` \| (GET|POST) \|", http(), re.MULTILINE)
    assert {(method, path) for path, method in described} == routes()
