"""The control page over a real socket: everybody may look, who has the token may move, and a refusal says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from subscriber.admin.control import ControlPage, refusal_of
from subscriber.admin.server import Pages
from subscriber.control.overrides import Command, DesiredState, desired_after
from subscriber.control.status import ControlStatus
from tests.fakes.control_status import QUIET

TOKEN = "open-sesame-42"
PAUSE = {"mode": "pause"}


class Controller:
    """A regulator that only remembers."""

    def __init__(self) -> None:
        self.desired = DesiredState()

    def apply(self, command: Command) -> None:
        """Within 0.05 and 8."""
        self.desired = desired_after(self.desired, command, 0.05, 8)

    def status(self) -> ControlStatus:
        """The wish, and nothing else worth telling."""
        desired = self.desired
        return msgspec.structs.replace(
            QUIET, mode=desired.mode, limit=desired.fixed_limit or QUIET.limit, fixed_limit=desired.fixed_limit
        )


class Stage:
    """A page on a free port. Without hands the line is not at work."""

    def __init__(self, token: str | None) -> None:
        self.controller: Controller | None = Controller()
        page = ControlPage(token, lambda: self.controller)
        self.pages = Pages("127.0.0.1", 0, CollectorRegistry(), dict, page.routes())

    async def ask(self, method: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer of one request to the page."""
        url = f"http://127.0.0.1:{self.pages.port}/control"
        async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.loads(await answer.text())

    async def command(self, body: object, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        """A command with a token."""
        return await self.ask("POST", json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A page that takes a token; with `indirect` None, one that takes no commands."""
    stage = Stage(getattr(request, "param", TOKEN))
    await stage.pages.start()
    yield stage
    await stage.pages.stop()


async def test_everybody_may_look(stage: Stage) -> None:
    """Without a token, in JSON, all there is."""
    status, answer = await stage.ask("GET")
    assert (status, answer["mode"], answer["limit"], answer["decisions"]) == (200, "auto", 8, [])
    assert set(answer) == set(ControlStatus.__struct_fields__)


async def test_who_has_the_token_may_move(stage: Stage) -> None:
    """The answer is the state that the command led to."""
    assert (await stage.command(PAUSE))[1]["mode"] == "paused"
    assert (await stage.command({"mode": "limit", "limit": 0.5}))[1]["fixed_limit"] == 0.5
    status, answer = await stage.command({"mode": "resume"})
    assert (status, answer["mode"], answer["limit"]) == (200, "fixed", 0.5)
    assert (await stage.command({"mode": "auto"}))[1]["mode"] == "auto"


@pytest.mark.parametrize("stage", [None], indirect=True)
async def test_without_a_token_in_the_settings_nobody_may_move(stage: Stage) -> None:
    """Not even with an empty one; looking is free as ever."""
    for token in ("", "None", TOKEN):
        assert await stage.command(PAUSE, token) == (
            403,
            {"error": "commands are refused because SUBSCRIBER_CONTROL_TOKEN is not set"},
        )
    assert (await stage.ask("GET"))[1]["mode"] == "auto"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer ключ"},
    ],
)
async def test_a_wrong_token_is_refused(stage: Stage, headers: dict[str, str]) -> None:
    """With the scheme that is expected, before the body is looked at, and nothing has moved."""
    status, answer = await stage.ask("POST", data=b"not even JSON", headers=headers)
    assert (status, list(answer)) == (401, ["error"])
    assert stage.controller is not None
    assert stage.controller.desired == DesiredState()


@given(token=st.text(st.characters(codec="ascii"), min_size=1), given_token=st.text())
def test_only_the_token_itself_is_the_token(token: str, given_token: str) -> None:
    """Whatever a header may carry, surrounding blanks apart."""
    refused = refusal_of(f"Bearer {given_token}", token) is not None
    assert refused == (given_token.strip() != token)


@pytest.mark.parametrize(
    "body", [b"", b"pause", b'{"mode": "off"}', b'{"mode": "limit"}', b'{"mode": "limit", "limit": 9}']
)
async def test_a_command_that_makes_no_sense_is_refused_with_a_sentence(stage: Stage, body: bytes) -> None:
    """And nothing has moved."""
    status, answer = await stage.ask("POST", data=body, headers={"Authorization": f"bearer {TOKEN}"})
    assert (status, list(answer)) == (400, ["error"])
    assert stage.controller is not None
    assert stage.controller.desired == DesiredState()


async def test_a_large_body_is_not_read(stage: Stage) -> None:
    """Sent whole or in chunks, it is not a command."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    for data in (b" " * 100_000, chunks()):
        status, answer = await stage.ask("POST", data=data, headers={"Authorization": f"Bearer {TOKEN}"})
        assert (status, list(answer)) == (413, ["error"])


async def test_a_body_that_does_not_come_is_not_awaited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request ends with a sentence."""
    monkeypatch.setattr("subscriber.admin.control._BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.pages.port)
    head = f"POST /control HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 17\r\n\r\n"
    writer.write(head.encode() + b'{"mode"')
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_line_that_is_not_at_work_has_nothing_to_show_or_move(stage: Stage) -> None:
    """Starting or stopping: 503, and the sentence says where to look."""
    stage.controller = None
    for status, answer in (await stage.ask("GET"), await stage.command(PAUSE)):
        assert (status, "/readyz" in answer["error"]) == (503, True)


async def test_other_methods_are_none(stage: Stage) -> None:
    """The page is looked at, or a command is posted."""
    async with aiohttp.ClientSession() as session:
        for method in ("PUT", "DELETE", "PATCH"):
            async with session.request(method, f"http://127.0.0.1:{stage.pages.port}/control") as answer:
                assert answer.status == 405


async def test_guessing_does_not_fill_the_log(stage: Stage) -> None:
    """The 1st, 2nd, 4th … refusal is a line, without what was guessed."""
    with structlog.testing.capture_logs() as lines:
        for number in range(9):
            await stage.command(PAUSE, f"guess-{number}")
    assert [line["refused"] for line in lines] == [1, 2, 4, 8]
    assert "guess" not in str(lines)
    assert {(line["event"], line["status"], line["remote"]) for line in lines} == {
        ("control.rejected", 401, "127.0.0.1")
    }
