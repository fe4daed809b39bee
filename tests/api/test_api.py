"""`subscriber api`: the real process, a real database, requests over a socket."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.store import opened_store
from subscriber.api.problems import BusyError, CostError
from subscriber.api.searches import Searches
from subscriber.cli.main import main
from subscriber.query.search_query import Query
from tests.adapters.postgres.object_rows import row
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture

TOKEN = "0123456789abcdef-reader"
ODD_KEY = "odd//ä ?#%2F/"


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Api:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._port = port
        self._url = f"http://127.0.0.1:{port}"

    @property
    def schema_url(self) -> str:
        """Where the routes are described."""
        return f"{self._url}/schema/openapi.json"

    def announce(self, path: str, content_length: int) -> int:
        """The status where a body is announced and none of it sent."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.putrequest("POST", path)
            connection.putheader("Authorization", f"Bearer {TOKEN}")
            connection.putheader("Content-Length", str(content_length))
            connection.endheaders()
            return connection.getresponse().status

    def get(self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None, **query: Any) -> Answer:
        """Ask with the token, unless the headers say otherwise."""
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"} | (headers or {})
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, sent), timeout=30) as found:
                return Answer(found.status, found.headers, found.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())


@pytest.fixture
async def environment(postgres_url: str, plain_schema: str) -> dict[str, str]:
    """Four objects and a delete marker, and how to reach them."""
    options = StoreOptions(url=postgres_url, schema=plain_schema, tls="disable")
    await migrate(options)
    objects = [
        row(bucket="lake", key=key, size_bytes=size) for size, key in enumerate(["a/1.csv", "a/2.csv", "b", ODD_KEY])
    ]
    marker = row(bucket="lake", key="c", version_id="v2", state="delete_marker", size_bytes=None, etag=None)
    async with opened_store(options) as store:
        await store.store([*objects, marker])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    return inherited | {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema}


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[Api]:
    """A server that a search of more than 500 units is too much for."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# readers\n{TOKEN}\nanother-token-of-another\n")
    arguments = ["api", "--port", "0", "--tokens", str(tokens), "--max-cost", "500", "--connections", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "subscriber", *arguments], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"listening on 127\.0\.0\.1 port (\d+)\n", line)
        assert found is not None, line + process.stderr.read()
        yield Api(process, int(found[1]))
        process.kill()


def test_pages_follow_each_other(api: Api) -> None:
    """The token of a page goes on after it, and fails loudly with another search."""
    first = api.get("/v1/objects", bucket="lake", prefix="a/", limit=1)
    assert (first.status, [each["key"] for each in first.json["rows"]]) == (200, ["a/1.csv"])
    token = first.json["token"]
    second = api.get("/v1/objects", bucket="lake", prefix="a/", limit=1, token=token)
    assert ([each["key"] for each in second.json["rows"]], second.json["token"]) == (["a/2.csv"], None)
    foreign = api.get("/v1/objects", bucket="lake", prefix="b", token=token)
    assert (foreign.status, foreign.headers["Content-Type"]) == (400, "application/problem+json")
    assert foreign.json["detail"].startswith("the token belongs to another search")


def test_amounts_are_exact_or_say_that_they_are_not(api: Api, environment: dict[str, str]) -> None:
    """An estimate without the counters; with them, counts and a tree."""
    assert api.get("/v1/count", bucket="lake").json["source"] == "estimate"
    assert api.get("/v1/count", bucket="lake", prefix="a/", exact="true").json["usage"]["objects"] == 2
    off = api.get("/v1/usage", bucket="lake")
    assert (off.status, "counters are off" in off.json["detail"]) == (400, True)
    done = CliRunner().invoke(main, ["features", "enable", "usage"], env=environment)
    assert done.exit_code == 0, done.stderr
    counted = api.get("/v1/count", bucket="lake").json
    assert (counted["source"], counted["usage"]["objects"], counted["usage"]["delete_markers"]) == ("counters", 4, 1)
    rows = api.get("/v1/usage", bucket="lake", depth=1).json["rows"]
    assert {row["folder"]: row["objects"] for row in rows} == {"": 4, "a/": 2, "odd/": 1}
    assert api.get("/v1/usage", bucket="lake", depth=99).status == 400
    assert api.get("/v1/count", bucket="lake", prefx="a/").status == 400


def test_a_key_is_asked_for_as_it_is(api: Api) -> None:
    """Slashes side by side, at the end, and encoded ones stay."""
    path = f"/v1/objects/lake/{quote(ODD_KEY)}"
    assert (api.get(path).status, api.get(path).json["key"]) == (200, ODD_KEY)
    assert [each["key"] for each in api.get(path, versions="true").json["rows"]] == [ODD_KEY]
    assert api.get("/v1/objects/lake/odd/").status == 404
    assert api.get("/v1/objects/lake/c", versions="true").json["rows"][0]["state"] == "delete_marker"


def test_an_answer_that_is_known_is_not_sent_again(api: Api) -> None:
    """304 for its entity tag; gzip where it is accepted and worth it."""
    first = api.get("/v1/objects", bucket="lake")
    assert api.get("/v1/objects", {"If-None-Match": first.headers["ETag"]}, bucket="lake").status == 304
    packed = api.get("/v1/objects", {"Accept-Encoding": "gzip"}, bucket="lake")
    assert (packed.headers["Content-Encoding"], gzip.decompress(packed.body)) == ("gzip", first.body)


def test_keys_are_looked_up_in_their_order(api: Api) -> None:
    """As many as one look-up takes, and no more."""
    found = api.get("/v1/exists", body=json.dumps({"bucket": "lake", "keys": ["b", "none", "c"]}).encode())
    assert [(each["key"], each["exists"]) for each in found.json["rows"]] == [
        ("b", True),
        ("none", False),
        ("c", False),
    ]
    assert api.get("/v1/exists", body=json.dumps({"bucket": "lake", "keys": ["b"] * 1001}).encode()).status == 400
    assert api.announce("/v1/exists", content_length=5_000_000) == 413


def test_only_tokens_of_the_file_are_accepted(api: Api) -> None:
    """Anything else is 401, except what a supervisor and a client's author ask."""
    for header in ("", "Bearer wrong", f"Basic {TOKEN}"):
        denied = api.get("/v1/objects", {"Authorization": header}, bucket="lake")
        assert (denied.status, denied.headers["WWW-Authenticate"], denied.json["title"]) == (
            401,
            "Bearer",
            "Unauthorized",
        )
    other = {"Authorization": "bearer another-token-of-another"}
    assert api.get("/v1/objects", other, bucket="lake").status == 200
    for path in ("/livez", "/readyz", "/schema/openapi.json"):
        assert api.get(path, {"Authorization": ""}).status == 200


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({}, "Missing required query parameter 'bucket'"),
        ({"bucket": "lake", "sufix": ".csv"}, "there is no parameter 'sufix'"),
        ({"bucket": "lake", "since": "soon"}, "since is neither an age nor a time"),
        ({"bucket": "lake", "regex": "("}, "PostgreSQL rejects the glob or regular expression"),
        ({"bucket": "lake", "limit": "0"}, "limit: "),
    ],
)
def test_a_bad_request_is_one_sentence(api: Api, query: dict[str, str], detail: str) -> None:
    """It says what is wrong."""
    found = api.get(f"/v1/objects?{urlencode(query)}")
    assert (found.status, found.json["status"]) == (400, 400)
    assert detail in found.json["detail"]


def test_answers_are_those_of_the_schema(api: Api, tmp_path: Path) -> None:
    """Whatever the schema allows to ask, schemathesis finds no error of the server and no answer it does not name."""
    program = Path(".lab/schemathesis/bin/schemathesis").absolute()
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [
            program,
            "run",
            api.schema_url,
            "-H",
            f"Authorization: Bearer {TOKEN}",
            "--seed=7",
            "-n8",
            f"--checks={checks}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_sigterm_ends_it(api: Api) -> None:
    """Exit code 0, and nothing more is said."""
    api.get("/livez")
    api.process.send_signal(signal.SIGTERM)
    assert api.process.stderr is not None
    assert (api.process.stderr.read(), api.process.wait(30)) == ("", 0)


async def test_an_expensive_page_is_refused(migrated: StoreOptions) -> None:
    """By what PostgreSQL expects, before anything is read."""
    searches = Searches(migrated, size=1, timeout_seconds=10, max_cost=0.001)
    with pytest.raises(CostError, match=r"expects this page to cost \d+ units"):
        await searches.page(Query(bucket="lake"), 10, None)
    await searches.close()


async def test_requests_beyond_the_connections_are_sent_away(migrated: StoreOptions) -> None:
    """They wait a moment for one, and the next request gets it."""
    searches = Searches(migrated, size=1, timeout_seconds=10, max_cost=1e9)
    async with searches.one():
        with pytest.raises(BusyError):
            await searches.page(Query(bucket="lake"), 10, None)
    assert (await searches.page(Query(bucket="lake"), 10, None)).rows == ()
    await searches.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give --tokens FILE, or --without-token"),
        (["--without-token", "--host", "0.0.0.0"], "--without-token is for the loopback address, and 0.0.0.0 is none"),
        (["--tokens", "/nowhere"], "the tokens cannot be read from /nowhere"),
    ],
)
def test_it_refuses_to_start_open(arguments: list[str], sentence: str) -> None:
    """Without a token only on the loopback address, and only if told so."""
    done = CliRunner().invoke(main, ["api", *arguments])
    assert (done.exit_code, sentence in done.stderr) == (2, True)
