"""The live page in a real Chromium: what it shows, its commands, a lost connection, a hidden tab, and no barriers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from subscriber.admin import live
from subscriber.admin.control import ControlPage
from subscriber.admin.live import LiveFeed
from subscriber.admin.live_snapshot import Facts, QueueFacts
from subscriber.admin.server import AdminServer
from testkit.browser import Tab, browser_tab
from tests.admin.live_samples import FACTS
from tests.control.loop import ControlLoop
from tests.repo.source import ROOT

TOKEN = "open-sesame-42"
AXE = ROOT / ".lab" / "axe-core" / "axe.min.js"
HOSTILE = "<img src=x onerror=document.title='broken'>"


class Watched:
    """A regulator of real parts behind the server of the daemon, and a browser in front of it."""

    def __init__(self) -> None:
        self.loop = ControlLoop()
        self.port = 0

    def facts(self) -> Facts:
        """The facts of now, with a queue whose newest error came from outside."""
        status = self.loop.regulator.status()
        queues = {each.name: QueueFacts(160, 812.4, error=HOSTILE) for each in status.queues}
        return msgspec.structs.replace(FACTS, status=status, queues=queues, quarantine={"not_json": 3})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve the page, again on the same port the second time; yields its address."""
        control, feed = ControlPage(TOKEN, lambda: self.loop.regulator), LiveFeed(self.facts)
        routes = (*control.routes(), *feed.routes())
        server = AdminServer("127.0.0.1", self.port, CollectorRegistry(), dict, routes)
        await server.start()
        self.port = server.port
        try:
            async with feed:
                yield f"http://127.0.0.1:{self.port}/"
        finally:
            await server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five snapshots a second."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.2)


async def first_notice(tab: Tab, level: str, text: str) -> None:
    """Wait until the first notice has this level and contains this text."""
    await tab.until(f"document.querySelector('#notices .notice.{level}:first-child')?.textContent.includes('{text}')")


async def command(tab: Tab, button: str, token: str, limit: str = "") -> None:
    """Click a button of the page, fill its dialog and confirm."""
    await tab.until(f"!document.getElementById('{button}').disabled")
    await tab.run(f"document.getElementById('{button}').click()")
    await tab.run(f"document.getElementById('d-token').value = '{token}'")
    if limit:
        await tab.run(f"document.getElementById('d-limit').value = '{limit}'")
    await tab.run("document.getElementById('d-yes').click()")


async def test_page_shows_the_daemon_and_carries_out_commands() -> None:
    """A wrong token is told in the dialog; a pause is the first thing to see; the limit is fixed and set free."""
    watched = Watched()
    async with watched.serving() as url, browser_tab(url) as tab:
        await tab.until("document.querySelector('.notice.good .what')")
        assert "not_json" in await tab.run("document.getElementById('quarantine').innerText")
        assert HOSTILE in await tab.run("document.getElementById('queues').innerText")
        assert "broken" not in await tab.run("document.title")

        await command(tab, "pause", "wrong")
        await tab.until("document.getElementById('d-error').textContent.includes('not the token')")
        assert watched.loop.regulator.status().mode == "auto"
        await tab.run("document.getElementById('d-no').click()")
        await command(tab, "pause", TOKEN)
        await tab.until(
            "document.querySelector('.notice.bad .what')?.textContent.startsWith('PAUSED by an operator since')"
        )
        assert watched.loop.regulator.status().mode == "paused"
        assert await tab.run("document.getElementById('announce').textContent.startsWith('PAUSED')")
        assert (await tab.run("document.title")).startswith("PAUSED")

        await command(tab, "resume", TOKEN)
        await tab.until("document.querySelector('.notice.good')")
        await command(tab, "limit", TOKEN, "0.5")
        await tab.until(
            "document.querySelector('.notice.warning .what')?.textContent.includes('fixed the limit at 0.5')"
        )
        assert watched.loop.regulator.status().fixed_limit == 0.5
        await command(tab, "auto", TOKEN)
        await tab.until("document.querySelector('.notice.good')")
        assert [problem for problem in tab.problems if "401" not in problem] == []


async def test_lost_connection_is_told_and_found_again() -> None:
    """The figures stay, dimmed and with their age; the page connects by itself when the daemon is back."""
    watched = Watched()
    async with watched.serving() as url:
        tab_of_page = browser_tab(url)
        tab = await tab_of_page.__aenter__()
        await tab.until("document.querySelector('.notice.good')")
    try:
        await tab.until(
            "document.querySelector('.notice.bad .what')?.textContent.includes('connection to the daemon is lost')"
        )
        assert await tab.run("document.body.classList.contains('stale')")
        async with watched.serving():
            await tab.until("!document.body.classList.contains('stale') && document.querySelector('.notice.good')")
    finally:
        await tab_of_page.__aexit__(None, None, None)


async def test_hidden_tab_watches_nothing() -> None:
    """The stream ends with the tab's visibility and comes back with it."""
    watched = Watched()
    async with watched.serving() as url, browser_tab(url) as tab:
        await tab.until("document.querySelector('.notice.good')")
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        tell = "document.dispatchEvent(new Event('visibilitychange'))"
        await tab.run(hide % "true" + tell)
        assert await tab.run("stream === null")
        await tab.run("arrivedAt = null;" + hide % "false" + tell)
        await tab.until("arrivedAt !== null")


@pytest.mark.parametrize("width", [380, 1_280, 2_560])
async def test_page_has_no_barriers(width: int) -> None:
    """By axe-core: light and dark, all well, paused, and in the dialog; nothing is wider than the window."""
    watched = Watched()
    async with watched.serving() as url, browser_tab(url) as tab:
        await tab.until("document.querySelector('.notice.good')")
        await tab.run(AXE.read_text() + ";0")
        for verb, scheme in (("auto", "light"), ("pause", "dark")):
            watched.loop.apply(verb)  # type: ignore[arg-type] # one of the verbs
            await tab.until(f"snapshot.mode === '{'paused' if verb == 'pause' else 'auto'}'")
            await tab.screenshot(width, is_dark=scheme == "dark")
            assert await tab.run("document.documentElement.scrollWidth <= window.innerWidth")
            found = await tab.run(
                "axe.run().then((all) => all.violations.map((each) => each.id + ': ' + each.nodes[0].html))"
            )
            assert found == []
        await tab.run("ask('limit')")
        assert await tab.run("axe.run().then((all) => all.violations.map((one) => one.id + one.nodes[0].html))") == []
        assert await tab.run("document.activeElement.id") == "d-limit"
