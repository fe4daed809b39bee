"""`subscriber history` and `diff` on a real database: other formats than the page shows, and how they end."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.store import opened_store
from subscriber.changes import Change, Kind, kind_of
from subscriber.errors import ConfigurationError
from subscriber.features import DEFAULT_KEEP_DAYS, options_of
from tests.adapters.postgres.object_rows import NOON, row
from tests.cli.test_search import SearchCli
from tests.cli.test_search import cli as cli  # noqa: PLC0414 - a fixture
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture


def options(cli: SearchCli) -> StoreOptions:
    """As the command connects."""
    return StoreOptions(
        url=cli.environment["SUBSCRIBER_DATABASE_URL"],
        schema=cli.environment["SUBSCRIBER_DATABASE_SCHEMA"],
        tls="disable",
    )


async def test_changes_and_differences_in_other_formats(cli: SearchCli) -> None:
    """Each line has every fact; keys stay whole."""
    await Features(options(cli)).enable("history", {"keep_days": 1})
    since = datetime.now(UTC).isoformat()
    async with opened_store(options(cli)) as store:
        await store.store([row(bucket="lake", key="a/1.csv", state="removed", sequencer="FF", size_bytes=None)])
        await store.store([row(bucket="lake", key='new,"\n', size_bytes=7)])
    done = await cli.run("history", "s3://lake/a/1.csv", "--format", "json")
    found = json.loads(done.stdout)
    assert (found["change"], found["old_size_bytes"], found["event_time"]) == ("deleted", 10, "2026-03-01T12:00:00Z")
    assert done.stderr.startswith("the history is complete since ")
    lines = csv.DictReader(
        (await cli.run("history", "s3://lake/", "--prefix", "--format", "csv")).stdout.splitlines(True)
    )
    assert [(line["change"], line["key"]) for line in lines] == [("created", 'new,"\n'), ("deleted", "a/1.csv")]
    done = await cli.run("diff", "s3://lake/", since, "--format", "json", "--limit", "1")
    assert json.loads(done.stdout)["change"] == "removed"
    assert done.stderr == "1 added, 1 removed, 0 changed, -3 bytes; these are 1 of 2, --limit shows more\n"
    done = await cli.run("diff", "s3://lake/b", since)
    assert (done.stdout, done.stderr) == ("", "0 added, 0 removed, 0 changed, +0 bytes\n")


async def test_what_cannot_be_answered_is_refused(cli: SearchCli) -> None:
    """While the feature is off, before it began, and for moments the wrong way round."""
    for arguments in (
        ("history", "s3://lake/a"),
        ("diff", "s3://lake/", "1h"),
        ("search", "s3://lake/", "--as-of", "1h"),
    ):
        assert "the history is off: `subscriber features enable history`" in await cli.rejects(*arguments)
    await cli.prints("features", "enable", "history")
    for arguments in (("diff", "s3://lake/", "1h"), ("search", "s3://lake/", "--as-of", "1h")):
        assert "does not reach back to" in await cli.rejects(*arguments)
    assert "write the older one first" in await cli.rejects("diff", "s3://lake/", "2126-01-02", "2126-01-01")
    assert "names no object" in await cli.rejects("history", "s3://lake")
    assert "--depth is no option of the feature history" in await cli.rejects(
        "features", "enable", "history", "--depth", "1"
    )


def test_options_belong_to_a_feature() -> None:
    """Each has defaults of its own."""
    assert options_of("history", {"depth": None}) == {"keep_days": DEFAULT_KEEP_DAYS}
    assert options_of("usage", {"depth": 0}) == {"depth": 0}
    with pytest.raises(ConfigurationError, match="--keep-days is no option of the feature usage"):
        options_of("usage", {"keep_days": 3})


@pytest.mark.parametrize(
    ("old_state", "state", "kind"),
    [
        (None, "present", "created"),
        ("removed", "present", "created"),
        ("delete_marker", "present", "created"),
        ("present", "present", "overwritten"),
        ("present", "removed", "deleted"),
        ("delete_marker", "removed", "marker removed"),
        ("removed", "removed", "noted"),
        (None, "removed", "noted"),
        ("present", "delete_marker", "marked deleted"),
        (None, "delete_marker", "marked deleted"),
        ("delete_marker", "delete_marker", "marker written"),
        ("present", None, "erased"),
    ],
)
def test_each_change_has_a_name(old_state: str | None, state: str | None, kind: Kind) -> None:
    """By the state before and after."""
    facts = (None, None, None, None)
    assert kind_of(Change("b", "k", "", NOON, state, *facts, old_state, *facts)) == kind
