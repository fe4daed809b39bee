"""The control page over a real socket: reading needs no token, commands need it, and a rejection gives its reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from subscriber.admin.control import ControlPage, rejection_of
from subscriber.admin.server import AdminServer
from subscriber.control.regulator import Regulator
from subscriber.control.status import ControlStatus
from tests.control.loop import ControlLoop

TOKEN = "open-sesame-42"
PAUSE = {"mode": "pause"}


class RunningPage:
    """The page on a free port, with a regulator whose loop does not run; without regulator no pipeline is running."""

    def __init__(self, token: str | None) -> None:
        self.regulator: Regulator | None = ControlLoop().regulator
        page = ControlPage(token, lambda: self.regulator)
        self.server = AdminServer("127.0.0.1", 0, CollectorRegistry(), dict, page.routes())

    async def ask(self, method: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer of one request to the page."""
        url = f"http://127.0.0.1:{self.server.port}/control"
        async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            text = await answer.text()
            assert text.endswith("}\n")
            return answer.status, json.loads(text)

    async def command(self, body: object, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        """A command with a token."""
        return await self.ask("POST", json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
async def page(request: pytest.FixtureRequest) -> AsyncIterator[RunningPage]:
    """A page with a token; with `indirect` None, one that rejects every command."""
    page = RunningPage(getattr(request, "param", TOKEN))
    await page.server.start()
    yield page
    await page.server.stop()


async def test_reading_needs_no_token(page: RunningPage) -> None:
    """The whole state, in JSON."""
    status, answer = await page.ask("GET")
    assert (status, answer["mode"], answer["limit"], answer["decisions"]) == (200, "auto", 8, [])
    assert set(answer) == set(ControlStatus.__struct_fields__)


async def test_a_command_with_the_token_is_applied(page: RunningPage) -> None:
    """The answer is the state after the command."""
    assert (await page.command(PAUSE))[1]["mode"] == "paused"
    assert (await page.command({"mode": "limit", "limit": 0.5}))[1]["fixed_limit"] == 0.5
    status, answer = await page.command({"mode": "resume"})
    assert (status, answer["mode"], answer["limit"]) == (200, "fixed", 0.5)
    assert (await page.command({"mode": "auto"}))[1]["mode"] == "auto"


@pytest.mark.parametrize("page", [None], indirect=True)
async def test_without_a_token_in_the_settings_every_command_is_rejected(page: RunningPage) -> None:
    """Even with an empty token; reading still needs none."""
    for token in ("", "None", TOKEN):
        assert await page.command(PAUSE, token) == (
            403,
            {"error": "commands are rejected because SUBSCRIBER_CONTROL_TOKEN is not set"},
        )
    assert (await page.ask("GET"))[1]["mode"] == "auto"


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
async def test_a_wrong_token_is_rejected(page: RunningPage, headers: dict[str, str]) -> None:
    """With the expected scheme, before the body is parsed, and the state does not change."""
    assert page.regulator is not None
    before = page.regulator.status()
    status, answer = await page.ask("POST", data=b"not even JSON", headers=headers)
    assert (status, list(answer)) == (401, ["error"])
    assert page.regulator.status() == before


@given(token=st.text(st.characters(codec="ascii"), min_size=1), given_token=st.text())
def test_only_the_token_itself_is_the_token(token: str, given_token: str) -> None:
    """For any header, surrounding blanks apart."""
    is_rejected = rejection_of(f"Bearer {given_token}", token) is not None
    assert is_rejected == (given_token.strip() != token)


@pytest.mark.parametrize(
    "body", [b"", b"pause", b'{"mode": "off"}', b'{"mode": "limit"}', b'{"mode": "limit", "limit": 9}']
)
async def test_an_invalid_command_is_rejected_with_a_sentence(page: RunningPage, body: bytes) -> None:
    """And the state does not change."""
    assert page.regulator is not None
    before = page.regulator.status()
    status, answer = await page.ask("POST", data=body, headers={"Authorization": f"bearer {TOKEN}"})
    assert (status, list(answer)) == (400, ["error"])
    assert page.regulator.status() == before


async def test_a_large_body_is_not_read(page: RunningPage) -> None:
    """Sent whole or in chunks, it is rejected."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    for data in (b" " * 100_000, chunks()):
        status, answer = await page.ask("POST", data=data, headers={"Authorization": f"Bearer {TOKEN}"})
        assert (status, list(answer)) == (413, ["error"])


async def test_a_body_that_does_not_arrive_ends_the_request(page: RunningPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a status of its own, after a time limit."""
    monkeypatch.setattr("subscriber.admin.control._BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
    head = f"POST /control HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 17\r\n\r\n"
    writer.write(head.encode() + b'{"mode"')
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_without_a_running_pipeline_there_is_nothing_to_read_or_override(page: RunningPage) -> None:
    """Starting or stopping: 503, and the sentence names the page to read."""
    page.regulator = None
    for status, answer in (await page.ask("GET"), await page.command(PAUSE)):
        assert (status, "/readyz" in answer["error"]) == (503, True)


async def test_other_methods_are_not_allowed(page: RunningPage) -> None:
    """The page has GET and POST only."""
    async with aiohttp.ClientSession() as session:
        for method in ("PUT", "DELETE", "PATCH"):
            async with session.request(method, f"http://127.0.0.1:{page.server.port}/control") as answer:
                assert answer.status == 405


async def test_guessing_does_not_fill_the_log(page: RunningPage) -> None:
    """The 1st, 2nd, 4th … rejection is one log line, without the guessed token."""
    with structlog.testing.capture_logs() as lines:
        for number in range(9):
            await page.command(PAUSE, f"guess-{number}")
    assert [line["rejected"] for line in lines] == [1, 2, 4, 8]
    assert "guess" not in str(lines)
    assert {(line["event"], line["status"], line["remote"]) for line in lines} == {
        ("control.rejected", 401, "127.0.0.1")
    }
